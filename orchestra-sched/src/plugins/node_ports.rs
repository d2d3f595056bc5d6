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
        // The ports of a pod do not change.
        matches!(kind, EventKind::NodeAdded | EventKind::PodReleased)
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

    use serde_json::{Value, json};

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
        assert!(NodePorts.concerns(EventKind::NodeAdded));
        assert!(!NodePorts.concerns(EventKind::PodUpdated) && !NodePorts.concerns(EventKind::NodeUpdated));
    }

    #[test]
    fn a_port_is_taken_per_protocol_and_address() {
        let on = |protocol: Value, address: Value| {
            let port = json!({ "containerPort": 80, "hostPort": 8080, "protocol": protocol, "hostIP": address });
            pod(json!({ "containers": [{ "name": "c", "ports": [port] }] }))
        };
        let takes = |first: PodInfo, second: PodInfo| {
            let mut node = node(json!({}));
            node.add_pod(Arc::new(first));
            verdict(&NodePorts, &second, &node).is_none()
        };
        let null = Value::Null;
        assert!(
            !takes(on(null.clone(), null.clone()), on(json!("TCP"), json!("10.0.0.1"))),
            "TCP and all addresses by default"
        );
        assert!(takes(on(json!("TCP"), null.clone()), on(json!("UDP"), null.clone())));
        assert!(takes(on(null.clone(), json!("10.0.0.1")), on(null.clone(), json!("10.0.0.2"))));
        assert!(!takes(on(null.clone(), json!("")), on(null, json!("10.0.0.2"))));
    }

    #[test]
    fn sidecars_take_ports_and_init_containers_that_end_do_not() {
        let port = json!([{ "containerPort": 80, "hostPort": 8080 }]);
        let beside =
            |policy: Value| pod(json!({ "initContainers": [{ "name": "i", "restartPolicy": policy, "ports": port }] }));
        let mut node = node(json!({}));
        node.add_pod(Arc::new(on_port(8080)));
        assert!(verdict(&NodePorts, &beside(json!("Always")), &node).is_some());
        assert_eq!(verdict(&NodePorts, &beside(Value::Null), &node), None);
    }
}
