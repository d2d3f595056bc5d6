//! The defaults of Deployments (`SetDefaults_Deployment` of apps/v1).

use k8s_openapi::{api::apps::v1::DeploymentSpec, apimachinery::pkg::util::intstr::IntOrString};

use crate::apiserver::kinds::pod;

/// Fills in what the client left out.
pub(super) fn spec(spec: &mut DeploymentSpec) {
    spec.replicas.get_or_insert(1);
    let strategy = spec.strategy.get_or_insert_default();
    let kind = strategy.type_.get_or_insert_default();
    if kind.is_empty() {
        "RollingUpdate".clone_into(kind);
    }
    if kind == "RollingUpdate" {
        let rolling = strategy.rolling_update.get_or_insert_default();
        let quarter = || IntOrString::String("25%".to_owned());
        rolling.max_unavailable.get_or_insert_with(quarter);
        rolling.max_surge.get_or_insert_with(quarter);
    }
    spec.revision_history_limit.get_or_insert(10);
    spec.progress_deadline_seconds.get_or_insert(600);
    pod::template::default(&mut spec.template);
}
