//! The kubelet's events about pods, in the words of Kubernetes 1.36.

use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod};
use orchestra_core::event_recorder::{EventRecorder, EventType};

use super::pod::{ephemeral::is_ephemeral, is_init};

/// Records events about one pod and its containers.
pub(super) struct PodEvents<'a> {
    pub(super) recorder: &'a EventRecorder,
    pub(super) pod: &'a Pod,
}

impl PodEvents<'_> {
    pub(super) fn pod(&self, kind: EventType, reason: &str, message: impl Into<String>) {
        self.recorder.event_about(self.reference(None), kind, reason, message);
    }

    pub(super) fn container(&self, container: &Container, kind: EventType, reason: &str, message: impl Into<String>) {
        let list = match () {
            () if is_init(self.pod, container) => "initContainers",
            () if is_ephemeral(self.pod, container) => "ephemeralContainers",
            () => "containers",
        };
        let path = format!("spec.{list}{{{}}}", container.name);
        self.recorder.event_about(self.reference(Some(path)), kind, reason, message);
    }

    /// Without resourceVersion: what repeats is to be counted, also when the pod changed in between.
    fn reference(&self, field_path: Option<String>) -> ObjectReference {
        let metadata = &self.pod.metadata;
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            field_path,
            ..ObjectReference::default()
        }
    }
}
