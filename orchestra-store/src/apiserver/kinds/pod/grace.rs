//! How long a pod may take to end.

use k8s_openapi::api::core::v1::Pod;

/// The grace period of a deletion in seconds. A pod that no kubelet runs, or that has ended, goes at once; a deletion that
/// has begun can only be shortened.
pub(super) fn period(pod: &Pod, requested: Option<i64>) -> i64 {
    let spec = pod.spec.as_ref();
    let begun = pod.metadata.deletion_timestamp.as_ref().and(pod.metadata.deletion_grace_period_seconds);
    if let Some(begun) = begun {
        return requested.map_or(begun, |requested| at_least_now(requested).min(begun));
    }
    let bound = spec.and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if !bound || matches!(phase, Some("Succeeded" | "Failed")) {
        return 0;
    }
    at_least_now(requested.or(spec.and_then(|spec| spec.termination_grace_period_seconds)).unwrap_or_default())
}

/// A negative period means as soon as can be, but through the kubelet.
fn at_least_now(seconds: i64) -> i64 {
    if seconds < 0 { 1 } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period_of(pod: serde_json::Value, requested: Option<i64>) -> i64 {
        period(&serde_json::from_value(pod).unwrap(), requested)
    }

    #[test]
    fn only_a_running_pod_has_time() {
        let spec = serde_json::json!({"containers": [], "nodeName": "n1", "terminationGracePeriodSeconds": 30});
        let running = serde_json::json!({"spec": spec, "status": {"phase": "Running"}});
        assert_eq!(period_of(running.clone(), None), 30);
        assert_eq!(period_of(running.clone(), Some(5)), 5);
        assert_eq!(period_of(running, Some(-1)), 1);
        assert_eq!(period_of(serde_json::json!({"spec": spec, "status": {"phase": "Failed"}}), Some(5)), 0);
        let unbound = serde_json::json!({"spec": {"containers": [], "terminationGracePeriodSeconds": 30}});
        assert_eq!(period_of(unbound, Some(5)), 0);
    }

    #[test]
    fn a_second_deletion_only_shortens() {
        let metadata =
            serde_json::json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30});
        let pod = serde_json::json!({"metadata": metadata, "spec": {"containers": [], "nodeName": "n1"}});
        assert_eq!(period_of(pod.clone(), Some(5)), 5);
        assert_eq!(period_of(pod.clone(), Some(60)), 30);
        assert_eq!(period_of(pod, None), 30);
    }
}
