use orchestra_core::scheduler::{ClusterEvent, EventKind, NodeInfo, PodInfo, Rejection, Snapshot};

use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue};

/// Keeps a pod off nodes where another one has taken a port of the node that it asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
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

impl PreFilter for NodePorts {
    fn pre_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        if pod.host_ports().is_empty() { PreFilterOutcome::Skip } else { PreFilterOutcome::Continue }
    }
}

impl Filter for NodePorts {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let taken = |wanted| node.host_ports().iter().any(|used| used.conflicts(wanted));
        if pod.host_ports().iter().any(taken) {
            return Err(Rejection::new("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }
}

impl Requeue for NodePorts {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(kind, EventKind::NodeAdded | EventKind::PodReleased | EventKind::PodUpdated)
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        match event {
            ClusterEvent::PodReleased(gone) => {
                pod.host_ports().iter().any(|wanted| gone.host_ports().iter().any(|freed| freed.conflicts(wanted)))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{super::testing::*, *};

    fn on_port(port: i32) -> PodInfo {
        pod(json!({ "containers": [{ "name": "c", "ports": [{ "containerPort": 80, "hostPort": port }] }] }))
    }

    #[test]
    fn a_taken_port_keeps_a_pod_off() {
        let mut node = node(json!({}));
        node.add_pod(Arc::new(on_port(8080)));
        let expected = Some(("node(s) didn't have free ports for the requested pod ports".to_owned(), true));
        assert_eq!(verdict(&NodePorts, &on_port(8080), &node), expected);
        assert_eq!(verdict(&NodePorts, &on_port(8081), &node), None);
        assert_eq!(verdict(&NodePorts, &pod(json!({})), &node), None);
    }

    #[test]
    fn a_freed_port_is_worth_another_attempt() {
        let gone = |port| ClusterEvent::PodReleased(Arc::new(on_port(port)));
        assert!(NodePorts.may_help(&gone(8080), &on_port(8080)));
        assert!(!NodePorts.may_help(&gone(8081), &on_port(8080)));
    }
}
