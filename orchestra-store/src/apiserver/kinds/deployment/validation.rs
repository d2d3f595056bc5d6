//! Checks of Deployments (`pkg/apis/apps/validation`).

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStrategy, RollingUpdateDeployment};
use serde_json::json;

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    kinds::{amount, workload},
};

/// What is wrong with the spec.
pub(super) fn spec(deployment: &Deployment) -> Errors {
    let path = Path::new("spec");
    let Some(spec) = &deployment.spec else { return vec![Error::required(&path, "")] };
    let mut errors = Errors::new();
    errors.extend(workload::not_negative(spec.replicas, &path.child("replicas")));
    errors.extend(workload::selector_and_template(&spec.selector, &spec.template, &path));
    errors.extend(strategy(spec.strategy.as_ref(), &path.child("strategy")));
    errors.extend(workload::not_negative(spec.min_ready_seconds, &path.child("minReadySeconds")));
    errors.extend(workload::not_negative(spec.revision_history_limit, &path.child("revisionHistoryLimit")));
    if let Some(deadline) = spec.progress_deadline_seconds {
        let path = path.child("progressDeadlineSeconds");
        errors.extend(workload::not_negative(Some(deadline), &path));
        if deadline <= spec.min_ready_seconds.unwrap_or_default() {
            errors.push(Error::invalid(&path, deadline, "must be greater than minReadySeconds"));
        }
    }
    errors
}

fn strategy(strategy: Option<&DeploymentStrategy>, path: &Path) -> Errors {
    let Some(strategy) = strategy else { return Errors::new() };
    let at = path.child("rollingUpdate");
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            vec![Error::forbidden(&at, "may not be specified when strategy `type` is 'Recreate'")]
        }
        ("Recreate", None) => Errors::new(),
        ("RollingUpdate", Some(rolling)) => rolling_update(rolling, &at),
        ("RollingUpdate", None) => vec![Error::required(&at, "this should be defaulted and never be nil")],
        (kind, rolling) => {
            // Kubernetes shows its internal form of the whole strategy here.
            let shown = Shown::json(&json!({"Type": kind, "RollingUpdate": rolling}));
            vec![Error::not_supported(path, shown, &["Recreate", "RollingUpdate"])]
        }
    }
}

fn rolling_update(rolling: &RollingUpdateDeployment, path: &Path) -> Errors {
    let unavailable = path.child("maxUnavailable");
    let mut errors = Errors::new();
    let (max_unavailable, max_surge) = (rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref());
    errors.extend(max_unavailable.and_then(|value| amount::number_or_share(value, &unavailable)));
    errors.extend(max_surge.and_then(|value| amount::number_or_share(value, &path.child("maxSurge"))));
    if amount::magnitude(max_unavailable) == 0 && amount::magnitude(max_surge) == 0 {
        let shown = max_unavailable.map_or_else(|| Shown::from(0), Shown::json);
        errors.push(Error::invalid(&unavailable, shown, "may not be 0 when `maxSurge` is 0"));
    }
    errors.extend(max_unavailable.and_then(|value| amount::not_more_than_all(value, &unavailable)));
    errors
}
