//! Tells users why a pod has no node: by its `PodScheduled` condition and an event.

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{Pod, PodCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use orchestra_core::{condition, event_recorder::EventType, scheduler::PodInfo};
use serde_json::{Value, json};
use tracing::warn;

use super::{Shared, preempt::Nominated};

/// Why an attempt brought no node.
pub(super) struct Failure {
    reason: &'static str,
    message: String,
    nominated: Nominated,
}

impl Failure {
    /// No node takes the pod now.
    pub(super) fn unschedulable(message: String, nominated: Nominated) -> Self {
        Self { reason: "Unschedulable", message, nominated }
    }

    /// The scheduler, or the API server, failed.
    pub(super) fn of_scheduler(message: String, nominated: Nominated) -> Self {
        Self { reason: "SchedulerError", message, nominated }
    }
}

impl Shared {
    /// Reports in the background.
    pub(super) async fn report(self: &Arc<Self>, pod: Arc<PodInfo>, failure: Failure) {
        let shared = Arc::clone(self);
        self.in_background(async move { shared.write_report(&pod, failure).await }).await;
    }

    pub(super) async fn write_report(&self, pod: &PodInfo, failure: Failure) {
        let text = failure.message.clone();
        self.recorder.action(&**pod.pod(), EventType::Warning, "FailedScheduling", "Scheduling", text);
        let mut status = json!({});
        if let Some(node) = &failure.nominated {
            status["nominatedNodeName"] = if node.is_empty() { Value::Null } else { json!(node) };
        }
        if let Some(condition) = self.condition(pod, failure) {
            status["conditions"] = json!([condition]);
        }
        if status == json!({}) {
            return;
        }
        match self.patch_status(pod, status).await {
            Ok(()) => {}
            // Gone, or replaced: nobody waits for the message.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            // The next attempt writes it again.
            Err(error) => warn!(pod = %pod.key(), %error, "condition PodScheduled not written"),
        }
    }

    /// Changes a pod's status; another pod of its name is left alone.
    pub(super) async fn patch_status(&self, pod: &PodInfo, status: Value) -> Result<(), kube::Error> {
        let api = Api::<Pod>::namespaced(self.client.clone(), pod.key().namespace().unwrap_or("default"));
        let patch = Patch::Strategic(json!({ "metadata": { "uid": pod.pod().metadata.uid }, "status": status }));
        api.patch_status(pod.key().name(), &PatchParams::default(), &patch).await.map(drop)
    }

    /// The pod's new condition; `None` if it says the same already.
    fn condition(&self, pod: &PodInfo, failure: Failure) -> Option<PodCondition> {
        let conditions = pod.pod().status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let old = condition::find(conditions, "PodScheduled");
        let same = |old: &&PodCondition| {
            old.status == "False"
                && old.reason.as_deref() == Some(failure.reason)
                && old.message.as_deref() == Some(&failure.message)
        };
        if old.filter(same).is_some() {
            return None;
        }
        let since = old.filter(|old| old.status == "False").and_then(|old| old.last_transition_time.clone());
        Some(PodCondition {
            type_: "PodScheduled".to_owned(),
            status: "False".to_owned(),
            reason: Some(failure.reason.to_owned()),
            message: Some(failure.message),
            last_transition_time: Some(since.unwrap_or_else(|| Time(self.clock.now()))),
            observed_generation: pod.pod().metadata.generation,
            ..PodCondition::default()
        })
    }
}
