//! What a restarted kubelet, and tools on the node, find written on sandboxes and containers (`pkg/kubelet/kuberuntime/labels.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Lifecycle, Pod};
use serde::de::DeserializeOwned;

const HASH: &str = "io.kubernetes.container.hash";
const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
const PORTS: &str = "io.kubernetes.container.ports";
const GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
const DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";

/// The annotations of a container.
pub(super) fn of_container(pod: &Pod, container: &Container, attempt: u32) -> BTreeMap<String, String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut all = BTreeMap::from([
        (HASH.to_owned(), hash(container)),
        (RESTART_COUNT.to_owned(), attempt.to_string()),
        (MESSAGE_PATH.to_owned(), text(&container.termination_message_path)),
        (MESSAGE_POLICY.to_owned(), text(&container.termination_message_policy)),
    ]);
    let spec = pod.spec.as_ref();
    if let Some(grace) = spec.and_then(|spec| spec.termination_grace_period_seconds) {
        all.insert(GRACE.to_owned(), grace.to_string());
    }
    if let Some(grace) = pod.metadata.deletion_grace_period_seconds {
        all.insert(DELETION_GRACE.to_owned(), grace.to_string());
    }
    // Plain values always have a JSON form.
    if let Some(handler) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) {
        all.insert(PRE_STOP.to_owned(), serde_json::to_string(handler).unwrap_or_default());
    }
    if let Some(ports) = container.ports.as_ref().filter(|ports| !ports.is_empty()) {
        all.insert(PORTS.to_owned(), serde_json::to_string(ports).unwrap_or_default());
    }
    all
}

/// What these annotations tell of a container: itself as far as its end asks for it, and its pod's grace period.
pub(in crate::kubelet) fn restored(name: &str, annotations: &BTreeMap<String, String>) -> (Container, Option<i64>) {
    fn read<T: DeserializeOwned>(annotations: &BTreeMap<String, String>, name: &str) -> Option<T> {
        serde_json::from_str(annotations.get(name)?).ok()
    }
    let lifecycle = Lifecycle { pre_stop: read(annotations, PRE_STOP), ..Lifecycle::default() };
    let container = Container {
        name: name.to_owned(),
        lifecycle: Some(lifecycle),
        ports: read(annotations, PORTS),
        ..Container::default()
    };
    (container, read(annotations, DELETION_GRACE).or_else(|| read(annotations, GRACE)))
}

/// A number for what a running container cannot change: its name and image; 32-bit FNV-1a.
fn hash(container: &Container) -> String {
    let text = serde_json::json!({ "name": container.name, "image": container.image }).to_string();
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::testing::{container, pod},
        *,
    };

    #[test]
    fn a_container_is_described() {
        let parts = json!({
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "ports": [{ "containerPort": 80 }], "lifecycle": { "preStop": { "sleep": { "seconds": 1 } } },
        });
        let pod = pod(json!({ "terminationGracePeriodSeconds": 30 }));
        let all = of_container(&pod, &container(parts), 2);
        let without_hash: Vec<_> =
            all.iter().filter(|(name, _)| *name != HASH).map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            without_hash,
            [
                "io.kubernetes.container.ports=[{\"containerPort\":80}]",
                "io.kubernetes.container.preStopHandler={\"sleep\":{\"seconds\":1}}",
                "io.kubernetes.container.restartCount=2",
                "io.kubernetes.container.terminationMessagePath=/dev/termination-log",
                "io.kubernetes.container.terminationMessagePolicy=File",
                "io.kubernetes.pod.terminationGracePeriod=30",
            ]
        );
        let other = of_container(&pod, &container(json!({ "image": "other" })), 2);
        assert_ne!(all[HASH], other[HASH]);
    }

    #[test]
    fn what_the_end_of_a_container_asks_for_is_restored() {
        let parts =
            json!({ "lifecycle": { "preStop": { "sleep": { "seconds": 3 } } }, "ports": [{ "containerPort": 80 }] });
        let (mut pod, container) = (pod(json!({ "terminationGracePeriodSeconds": 40 })), container(parts));
        let (restored_one, grace) = restored("c", &of_container(&pod, &container, 0));
        assert_eq!(
            (restored_one.lifecycle, restored_one.ports),
            (container.lifecycle.clone(), container.ports.clone())
        );
        assert_eq!(grace, Some(40));
        pod.metadata.deletion_grace_period_seconds = Some(5);
        assert_eq!(restored("c", &of_container(&pod, &container, 0)).1, Some(5));
        assert_eq!(restored("c", &BTreeMap::new()).1, None);
    }
}
