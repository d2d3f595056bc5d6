use k8s_openapi::api::core::v1::Pod;

use super::resources::{QosClass, qos_class};

/// The cgroup of a pod below `root`, as Kubernetes' driver `cgroupfs` names it: those of pods that are guaranteed what they use lie
/// beside the cgroups of the other classes.
pub(super) fn parent(root: &str, pod: &Pod) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let class = match qos_class(pod) {
        QosClass::Guaranteed => "",
        QosClass::Burstable => "burstable/",
        QosClass::BestEffort => "besteffort/",
    };
    format!("{}/kubepods/{class}pod{uid}", root.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::pod, *};

    #[test]
    fn each_class_has_its_place() {
        let with = |resources| pod(json!({ "containers": [{ "name": "c", "resources": resources }] }));
        let all = json!({ "cpu": "1", "memory": "1Gi" });
        assert_eq!(parent("/", &with(json!({}))), "/kubepods/besteffort/podu");
        assert_eq!(parent("/x", &with(json!({ "requests": all }))), "/x/kubepods/burstable/podu");
        assert_eq!(parent("/", &with(json!({ "requests": all, "limits": all }))), "/kubepods/podu");
    }
}
