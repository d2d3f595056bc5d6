use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::{Node, Pod};
use orchestra_core::{condition, well_known_taints::OUT_OF_SERVICE};

use crate::lean_pod::LeanPod;
use crate::{controllers::pod_state, pods_by_node};

/// Why a pod is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its node is gone.
    Orphaned,
    /// It is being deleted, and there is no kubelet to do it.
    Unattended,
}

/// Judges a pod, given the nodes that are gone, and its own node if there is one.
pub(super) fn verdict(pod: &Pod, gone: &BTreeSet<String>, node: impl FnOnce() -> Option<Arc<Node>>) -> Option<Verdict> {
    let name = pods_by_node::node_of(pod);
    if name.is_some_and(|name| gone.contains(name)) {
        return Some(Verdict::Orphaned);
    }
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let unattended = || name.is_none() || node().is_some_and(|node| is_out_of_service(&node));
    (terminating && unattended()).then_some(Verdict::Unattended)
}

fn is_out_of_service(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    !condition::is_true(conditions, "Ready") && taints.any(|taint| taint.key == OUT_OF_SERVICE)
}

/// The pods that have ended beyond `kept`: evicted ones first, then the oldest.
pub(super) fn oldest_finished(pods: &[Arc<LeanPod>], kept: usize) -> Vec<Arc<LeanPod>> {
    let mut finished: Vec<&Arc<LeanPod>> = pods.iter().filter(|pod| pod_state::is_finished(pod)).collect();
    let surplus = finished.len().saturating_sub(kept);
    if surplus == 0 {
        return Vec::new();
    }
    let evicted = |pod: &Pod| pod.status.as_ref().and_then(|status| status.reason.as_deref()) == Some("Evicted");
    // The sort is stable: pods of one second stay in the order of their names.
    finished.sort_by_key(|pod| (!evicted(pod), pod.metadata.creation_timestamp.as_ref().map(|time| time.0)));
    finished.into_iter().take(surplus).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: Value, node: Option<&str>) -> Pod {
        let spec = json!({"containers": [], "nodeName": node});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn node(ready: &str, taint: &str) -> Option<Arc<Node>> {
        let taints = json!([{"key": taint, "effect": "NoExecute"}]);
        let node = json!({"metadata": {}, "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        Some(Arc::new(serde_json::from_value(node).unwrap()))
    }

    #[test]
    fn pods_are_removed_whose_kubelet_will_not_do_it() {
        let (gone, there) = (BTreeSet::from(["gone".to_owned()]), || node("True", OUT_OF_SERVICE));
        let (stays, terminating) = (json!({}), json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(verdict(&pod(stays.clone(), Some("gone")), &gone, || None), Some(Verdict::Orphaned));
        assert_eq!(verdict(&pod(stays.clone(), Some("n1")), &gone, there), None);
        assert_eq!(verdict(&pod(stays, None), &gone, || None), None);
        assert_eq!(verdict(&pod(terminating.clone(), None), &gone, || None), Some(Verdict::Unattended));
        assert_eq!(verdict(&pod(terminating.clone(), Some("n1")), &gone, there), None);
        let off = || node("Unknown", OUT_OF_SERVICE);
        assert_eq!(verdict(&pod(terminating.clone(), Some("n1")), &gone, off), Some(Verdict::Unattended));
        assert_eq!(verdict(&pod(terminating, Some("n1")), &gone, || node("Unknown", "other")), None);
    }

    #[test]
    fn of_too_many_finished_pods_evicted_and_old_ones_go() {
        let finished = |name: &str, created: &str, reason: &str, phase: &str| {
            let mut pod = pod(json!({"name": name, "creationTimestamp": created}), None);
            pod.status = serde_json::from_value(json!({"phase": phase, "reason": reason})).unwrap();
            Arc::new(LeanPod::from(pod))
        };
        let pods = [
            finished("old", "2026-01-01T00:00:00Z", "", "Succeeded"),
            finished("running", "2025-01-01T00:00:00Z", "", "Running"),
            finished("new", "2026-01-03T00:00:00Z", "", "Failed"),
            finished("evicted", "2026-01-04T00:00:00Z", "Evicted", "Failed"),
        ];
        let names = |kept| {
            let all = oldest_finished(&pods, kept).into_iter().map(|pod| pod.metadata.name.clone().unwrap());
            all.collect::<Vec<_>>()
        };
        assert_eq!((names(3), names(1)), (vec![], vec!["evicted".to_owned(), "old".to_owned()]));
    }
}
