//! The kubelet's events about pods, in the words of Kubernetes 1.36.

use std::time::Duration;

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

/// A duration as Go prints it, in whole milliseconds: `1m2.5s`, `393ms`, `0s`.
pub(super) fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = (rest / 1000).to_string();
    if rest % 1000 != 0 {
        seconds.push_str(format!(".{:03}", rest % 1000).trim_end_matches('0'));
    }
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (millis, text) in [
            (0, "0s"),
            (5, "5ms"),
            (393, "393ms"),
            (1200, "1.2s"),
            (1002, "1.002s"),
            (60_000, "1m0s"),
            (62_500, "1m2.5s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
