//! Pods that go on, and are taken, whatever the node lacks.

use k8s_openapi::api::core::v1::Pod;
use orchestra_store::apiserver::kinds::pod::qos;

use super::pressure::Lack;
use crate::kubelet::static_pods::is_static;

/// The least priority of a pod that the cluster cannot do without.
pub(super) const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Whether the node does not end the pod for want of anything: a static pod, or one that the cluster cannot do without.
pub(super) fn is_critical(pod: &Pod) -> bool {
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority);
    is_static(pod) || priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL)
}

/// Why a node that lacks something does not take the pod: reason and message.
pub(in crate::kubelet) fn refusal(pod: &Pod, lacks: &[Lack]) -> Option<(String, String)> {
    if lacks.is_empty() || is_critical(pod) {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let tolerates = spec.tolerations.iter().flatten().any(|toleration| {
        let key = toleration.key.as_deref();
        let any = key.is_none() && toleration.operator.as_deref() == Some("Exists");
        let effect = toleration.effect.as_deref().is_none_or(|effect| effect == "NoSchedule");
        effect && (any || key == Some("node.kubernetes.io/memory-pressure"))
    });
    // What asks for memory has it promised.
    if lacks == [Lack::Memory] && (qos::class(spec) != "BestEffort" || tolerates) {
        return None;
    }
    let conditions: Vec<&str> = lacks.iter().map(|lack| lack.condition()).collect();
    let message = format!("The node had condition: [{}]. ", conditions.join(" "));
    Some((super::EVICTED.to_owned(), message))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::*;

    fn refused(spec: Value, lacks: &[Lack]) -> Option<String> {
        let pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        refusal(&pod, lacks).map(|(reason, message)| format!("{reason}: {message}"))
    }

    #[test]
    fn a_node_without_memory_takes_pods_that_ask_for_some_and_one_without_disk_takes_none() {
        let modest = json!({"containers": [{"name": "c"}]});
        let asking = json!({"containers": [{"name": "c", "resources": {"requests": {"memory": "1Mi"}}}]});
        let critical = json!({"priority": 2_000_000_000, "containers": [{"name": "c"}]});
        let tolerant = json!({"containers": [{"name": "c"}], "tolerations":
            [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}]});
        let memory = Some("Evicted: The node had condition: [MemoryPressure]. ".to_owned());
        let both = Some("Evicted: The node had condition: [MemoryPressure DiskPressure]. ".to_owned());
        for (spec, at_none, at_memory, at_both) in [
            (modest, None, memory, both.clone()),
            (asking, None, None, both.clone()),
            (tolerant, None, None, both),
            (critical, None, None, None),
        ] {
            assert_eq!(refused(spec.clone(), &[]), at_none);
            assert_eq!(refused(spec.clone(), &[Lack::Memory]), at_memory);
            assert_eq!(refused(spec, &[Lack::Memory, Lack::Disk]), at_both);
        }
    }

    #[test]
    fn only_the_nodes_own_pods_are_static_whatever_is_annotated() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"annotations": {"kubernetes.io/config.source": "file"}},
            "spec": {"containers": [{"name": "c"}]},
        }))
        .unwrap();
        assert!(is_critical(&pod) && refusal(&pod, &[Lack::Disk]).is_none());
        // As the API server has it.
        pod.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert!(!is_critical(&pod) && refusal(&pod, &[Lack::Disk]).is_some());
    }
}
