//! Which share of the cluster's processors each zone has.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Node;
use orchestra_core::quantity::Quantity;

use crate::controllers::endpoint_slice::zone_of;

/// Nodes with these labels run no workloads that count.
const EXCLUDED: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// The share of each zone; none at all if one node does not tell where it is or what it has, or if there are not two zones.
#[derive(Debug, Default, PartialEq)]
pub(in crate::controllers::endpoint_slice) struct Zones(pub(super) BTreeMap<String, f64>);

impl Zones {
    pub(in crate::controllers::endpoint_slice) fn of(nodes: &[Arc<Node>]) -> Self {
        let mut by_zone = BTreeMap::<String, i64>::new();
        for node in nodes.iter().filter(|node| counts(node)) {
            let (Some(zone), milli_cpu @ 1..) = (zone_of(node), milli_cpu(node)) else { return Self::default() };
            let sum = by_zone.entry(zone.to_owned()).or_default();
            *sum = sum.saturating_add(milli_cpu);
        }
        if by_zone.len() < 2 {
            return Self::default();
        }
        let total = by_zone.values().fold(0_i64, |sum, milli_cpu| sum.saturating_add(*milli_cpu));
        Self(by_zone.into_iter().map(|(zone, milli_cpu)| (zone, milli_cpu as f64 / total as f64)).collect())
    }
}

/// Whether a node that was so and is so now changes what zones have.
pub(in crate::controllers::endpoint_slice) fn is_news(old: Option<&Node>, new: Option<&Node>) -> bool {
    let told = |node: Option<&Node>| {
        node.filter(|node| counts(node)).map(|node| (zone_of(node).map(str::to_owned), milli_cpu(node)))
    };
    told(old) != told(new)
}

/// Whether a node is ready, and meant for workloads.
fn counts(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| ready.status == "True")
        && EXCLUDED.iter().all(|label| labels.is_none_or(|labels| !labels.contains_key(*label)))
}

fn milli_cpu(node: &Node) -> i64 {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let cpu = allocatable.and_then(|amounts| Quantity::try_from(amounts.get("cpu")?).ok());
    cpu.unwrap_or_default().milli_value()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(zone: Value, cpu: &str, ready: &str) -> Arc<Node> {
        let node = json!({
            "metadata": { "name": "n", "labels": zone },
            "status": { "allocatable": { "cpu": cpu }, "conditions": [{ "type": "Ready", "status": ready }] },
        });
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn zone(name: &str) -> Value {
        json!({ "topology.kubernetes.io/zone": name })
    }

    #[test]
    fn zones_have_shares_of_what_ready_nodes_have() {
        let control_plane = json!({ "node-role.kubernetes.io/control-plane": "" });
        let nodes = [
            node(zone("a"), "1", "True"),
            node(zone("a"), "500m", "True"),
            node(zone("b"), "4500m", "True"),
            node(zone("b"), "100", "False"),
            node(control_plane, "100", "True"),
        ];
        assert_eq!(Zones::of(&nodes).0, BTreeMap::from([("a".to_owned(), 0.25), ("b".to_owned(), 0.75)]));
    }

    #[test]
    fn nodes_that_do_not_tell_make_all_shares_unknown() {
        let known = [node(zone("a"), "1", "True"), node(zone("b"), "1", "True")];
        for other in [node(json!({}), "1", "True"), node(zone("b"), "0", "True")] {
            let [a, b] = known.clone();
            assert_eq!(Zones::of(&[a, b, other]), Zones::default());
        }
        assert_eq!(Zones::of(&known[..1]), Zones::default());
    }

    #[test]
    fn heartbeats_are_no_news() {
        let before = node(zone("a"), "1", "True");
        assert!(!is_news(Some(&before), Some(&node(zone("a"), "1", "True"))));
        for after in [node(zone("b"), "1", "True"), node(zone("a"), "2", "True"), node(zone("a"), "1", "False")] {
            assert!(is_news(Some(&before), Some(&after)));
        }
        assert!(is_news(None, Some(&before)));
        assert!(!is_news(Some(&node(zone("a"), "1", "False")), None));
    }
}
