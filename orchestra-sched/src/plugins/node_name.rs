use orchestra_core::scheduler::{ClusterEvent, EventKind, NodeInfo, PodInfo, Rejection, Snapshot};

use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue};

/// Lets a pod that names its node go there only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

impl PreFilter for NodeName {
    fn pre_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        if pod.node_name().is_none() { PreFilterOutcome::Skip } else { PreFilterOutcome::Continue }
    }
}

impl Filter for NodeName {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match pod.node_name() {
            Some(name) if name != &**node.name() => {
                Err(Rejection::new("node(s) didn't match the requested node name").unresolvable())
            }
            _ => Ok(()),
        }
    }
}

impl Requeue for NodeName {
    fn concerns(&self, kind: EventKind) -> bool {
        kind == EventKind::NodeAdded
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        matches!(event, ClusterEvent::NodeAdded(node) if pod.node_name().is_none_or(|name| name == &**node.name()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::*, *};

    #[test]
    fn a_pod_that_names_a_node_fits_there_only() {
        let other = Some(("node(s) didn't match the requested node name".to_owned(), false));
        assert_eq!(verdict(&NodeName, &pod(json!({ "nodeName": "n1" })), &node(json!({}))), None);
        assert_eq!(verdict(&NodeName, &pod(json!({ "nodeName": "n2" })), &node(json!({}))), other);
    }

    #[test]
    fn a_pod_that_names_none_fits_everywhere() {
        assert_eq!(verdict(&NodeName, &pod(json!({})), &node(json!({}))), None);
    }

    #[test]
    fn the_node_that_is_named_is_worth_another_attempt_when_it_comes() {
        let named = |name: &str| pod(json!({ "nodeName": name }));
        let comes = ClusterEvent::NodeAdded(std::sync::Arc::new(node(json!({}))));
        assert!(NodeName.may_help(&comes, &named("n1")) && !NodeName.may_help(&comes, &named("n2")));
        assert!(!NodeName.concerns(EventKind::NodeUpdated));
    }
}
