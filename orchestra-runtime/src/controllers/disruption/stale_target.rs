//! Takes back that pods are about to go, when they do not.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::SignedDuration;
use k8s_openapi::{
    api::core::v1::{Pod, PodCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    condition::{self, DISRUPTION_TARGET},
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::{Change, Informer},
};
use serde_json::json;

use crate::controllers::{api_error, pod_state};
use crate::lean_pod::LeanPod;

/// For how long a pod may be about to go (`stalePodDisruptionTimeout`).
const TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

/// Sets the condition `DisruptionTarget` of pods back to False that have it for two minutes and are not being deleted: who wanted to
/// delete them has failed (KEP-3329). What a kubelet says of its own pods stays.
pub struct StaleDisruptionTargets {
    client: Client,
    pods: Informer<LeanPod>,
    clock: Arc<dyn Clock>,
}

impl StaleDisruptionTargets {
    /// A controller of all pods. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        Self { client: context.client.clone(), pods: context.informers.informer(), clock: Arc::clone(&context.clock) }
    }
}

/// The condition of a pod that is about to go, may still not, and ought to be gone some time.
fn target(pod: &Pod) -> Option<&PodCondition> {
    if pod.metadata.deletion_timestamp.is_some() || pod_state::is_finished(pod) {
        return None;
    }
    let target = condition::find(pod.status.as_ref()?.conditions.as_deref()?, DISRUPTION_TARGET)?;
    (target.status == "True" && target.reason.as_deref() != Some("TerminationByKubelet")).then_some(target)
}

#[async_trait]
impl Controller for StaleDisruptionTargets {
    fn name(&self) -> &str {
        "stale-disruption-target"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::mapped(&self.pods, |change: &Change<LeanPod>| {
            change.new().filter(|pod| target(pod).is_some()).map(|pod| ObjectKey::of(&**pod)).into_iter().collect()
        })]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(pod) = self.pods.get(key) else { return Ok(Action::Done) };
        let Some(target) = target(&pod) else { return Ok(Action::Done) };
        let now = self.clock.now();
        let since = target.last_transition_time.as_ref().map_or(jiff::Timestamp::UNIX_EPOCH, |time| time.0);
        let left = TIMEOUT.saturating_sub(now.duration_since(since));
        if left.is_positive() {
            return Ok(Action::RequeueAfter(left.unsigned_abs().max(Duration::from_millis(1))));
        }
        let stays = json!({
            "type": DISRUPTION_TARGET, "status": "False", "reason": null, "message": null,
            "observedGeneration": pod.metadata.generation, "lastTransitionTime": Time(now),
        });
        let same = json!({"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version});
        let patch = Patch::Strategic(json!({"metadata": same, "status": {"conditions": [stays]}}));
        let api = Api::<Pod>::namespaced(self.client.clone(), key.namespace().unwrap_or_default());
        match api.patch_status(key.name(), &PatchParams::default(), &patch).await {
            // Gone, or another state comes, and brings the pod here again.
            Err(error) if api_error::is_not_found(&error) || api_error::is_conflict(&error) => {}
            other => drop(other?),
        }
        Ok(Action::Done)
    }
}
