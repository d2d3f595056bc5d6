use std::sync::LazyLock;

use orchestra_core::{
    scheduler::{ClusterEvent, Effect, EventKind, NodeInfo, PodInfo, Rejection, Taint},
    well_known_taints::UNSCHEDULABLE,
};

use super::toleration::{tolerated, tolerations};
use crate::framework::{CycleState, Filter, Plugin, Requeue};

/// Keeps pods off cordoned nodes, unless they tolerate the taint that stands for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

fn accepts(pod: &PodInfo, node: &NodeInfo) -> bool {
    !node.is_unschedulable() || tolerates_cordon(pod)
}

fn tolerates_cordon(pod: &PodInfo) -> bool {
    /// What a cordon stands for.
    static CORDON: LazyLock<Taint> =
        LazyLock::new(|| Taint { key: UNSCHEDULABLE.to_owned(), value: String::new(), effect: Effect::NoSchedule });
    tolerated(tolerations(pod), &CORDON)
}

impl Filter for NodeUnschedulable {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if accepts(pod, node) { Ok(()) } else { Err(Rejection::new("node(s) were unschedulable").unresolvable()) }
    }
}

impl Requeue for NodeUnschedulable {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(kind, EventKind::NodeAdded | EventKind::NodeUpdated | EventKind::PodUpdated)
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        match event {
            ClusterEvent::PodUpdated { new, .. } => tolerates_cordon(new),
            event => event.may_bring_node(|node| accepts(pod, node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{super::testing::*, *};

    #[test]
    fn a_cordoned_node_takes_only_pods_that_tolerate_it() {
        let cordoned = node(json!({ "spec": { "unschedulable": true } }));
        let expected = Some(("node(s) were unschedulable".to_owned(), false));
        assert_eq!(verdict(&NodeUnschedulable, &pod(json!({})), &cordoned), expected);
        assert_eq!(verdict(&NodeUnschedulable, &pod(json!({})), &node(json!({}))), None);
        let tolerant =
            pod(json!({ "tolerations": [{ "key": "node.kubernetes.io/unschedulable", "operator": "Exists" }] }));
        assert_eq!(verdict(&NodeUnschedulable, &tolerant, &cordoned), None);
    }

    #[test]
    fn an_uncordoned_node_is_worth_another_attempt() {
        let (open, cordoned) =
            (Arc::new(node(json!({}))), Arc::new(node(json!({ "spec": { "unschedulable": true } }))));
        let pod = pod(json!({}));
        let update =
            |old: &Arc<NodeInfo>, new: &Arc<NodeInfo>| ClusterEvent::NodeUpdated { old: old.clone(), new: new.clone() };
        assert!(NodeUnschedulable.may_help(&update(&cordoned, &open), &pod));
        assert!(!NodeUnschedulable.may_help(&update(&open, &cordoned), &pod));
        assert!(!NodeUnschedulable.may_help(&update(&open, &open), &pod));
        assert!(NodeUnschedulable.may_help(&ClusterEvent::NodeAdded(open), &pod));
        assert!(!NodeUnschedulable.may_help(&ClusterEvent::NodeAdded(cordoned), &pod));
    }

    #[test]
    fn a_pod_that_comes_to_tolerate_cordons_is_worth_another_attempt() {
        let tolerating = |key: &str| Arc::new(pod(json!({ "tolerations": [{ "key": key, "operator": "Exists" }] })));
        let update = |new: Arc<PodInfo>| ClusterEvent::PodUpdated { old: Arc::new(pod(json!({}))), new };
        let waiting = pod(json!({}));
        assert!(NodeUnschedulable.may_help(&update(tolerating("node.kubernetes.io/unschedulable")), &waiting));
        assert!(!NodeUnschedulable.may_help(&update(tolerating("other")), &waiting));
    }
}
