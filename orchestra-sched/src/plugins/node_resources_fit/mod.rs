use std::borrow::Cow;

use orchestra_core::scheduler::{ClusterEvent, EventKind, NodeInfo, PodInfo, Rejection, Resources};

use crate::framework::{CycleState, Filter, MAX_NODE_SCORE, Plugin, Requeue, Score};

/// Keeps a pod off nodes that have less left than it asks for, and prefers nodes with more left (`LeastAllocated`).
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

/// Whether `wanted` fits beside `used`. What is not asked for is not looked at: a node may be over-committed in it.
fn fits(wanted: &Resources, used: &Resources, allocatable: &Resources) -> bool {
    let fits = |wanted: i64, used: i64, allocatable: i64| wanted == 0 || wanted <= allocatable.saturating_sub(used);
    used.pods < allocatable.pods
        && fits(wanted.milli_cpu, used.milli_cpu, allocatable.milli_cpu)
        && fits(wanted.memory, used.memory, allocatable.memory)
        && fits(wanted.ephemeral_storage, used.ephemeral_storage, allocatable.ephemeral_storage)
        && wanted.scalars.iter().all(|(name, wanted)| fits(*wanted, used.get(name), allocatable.get(name)))
}

impl Filter for NodeResourcesFit {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if fits(pod.requests(), node.requested(), node.allocatable()) {
            Ok(())
        } else {
            Err(reasons(pod.requests(), node.requested(), node.allocatable()))
        }
    }
}

/// Everything that is short. More than the whole node has cannot be made room for by taking pods away.
fn reasons(wanted: &Resources, used: &Resources, allocatable: &Resources) -> Rejection {
    let mut reasons: Vec<Cow<'static, str>> = Vec::new();
    let mut resolvable = true;
    if used.pods >= allocatable.pods {
        reasons.push("Too many pods".into());
    }
    let mut short = |reason: Cow<'static, str>, wanted: i64, used: i64, allocatable: i64| {
        if wanted > 0 && wanted > allocatable.saturating_sub(used) {
            reasons.push(reason);
            resolvable &= wanted <= allocatable;
        }
    };
    short("Insufficient cpu".into(), wanted.milli_cpu, used.milli_cpu, allocatable.milli_cpu);
    short("Insufficient memory".into(), wanted.memory, used.memory, allocatable.memory);
    let storage = [wanted, used, allocatable].map(|resources| resources.ephemeral_storage);
    short("Insufficient ephemeral-storage".into(), storage[0], storage[1], storage[2]);
    for (name, amount) in &wanted.scalars {
        if *amount > allocatable.get(name).saturating_sub(used.get(name)) {
            short(format!("Insufficient {name}").into(), *amount, used.get(name), allocatable.get(name));
        }
    }
    let rejection = match reasons.len() {
        1 => Rejection::new(reasons.swap_remove(0)),
        _ => Rejection::with_reasons(reasons),
    };
    if resolvable { rejection } else { rejection.unresolvable() }
}

impl Score for NodeResourcesFit {
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let cpu = node.non_zero_milli_cpu().saturating_add(pod.non_zero_milli_cpu());
        let memory = node.non_zero_memory().saturating_add(pod.non_zero_memory());
        match (free(cpu, node.allocatable().milli_cpu), free(memory, node.allocatable().memory)) {
            (Some(cpu), Some(memory)) => (cpu + memory) / 2,
            (cpu, memory) => cpu.or(memory).unwrap_or(0),
        }
    }
}

/// The share of `capacity` that is left, up to [`MAX_NODE_SCORE`]; `None` where the node has none.
fn free(requested: i64, capacity: i64) -> Option<i64> {
    let left = capacity.saturating_sub(requested).max(0);
    match left.checked_mul(MAX_NODE_SCORE) {
        Some(scaled) => scaled.checked_div(capacity),
        None => left.checked_div(capacity / MAX_NODE_SCORE),
    }
}

impl Requeue for NodeResourcesFit {
    fn concerns(&self, kind: EventKind) -> bool {
        kind != EventKind::PodAssigned
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        let fits_empty = |node: &NodeInfo| fits(pod.requests(), &Resources::default(), node.allocatable());
        match event {
            ClusterEvent::NodeAdded(node) => fits_empty(node),
            ClusterEvent::NodeUpdated { old, new } => fits_empty(new) && !covers(old.allocatable(), new.allocatable()),
            ClusterEvent::AssignedPodUpdated { old, new } => !covers(new.requests(), old.requests()),
            _ => true,
        }
    }
}

/// Whether there is as much of everything in `all` as in `part`.
fn covers(all: &Resources, part: &Resources) -> bool {
    let mut most = all.clone();
    most.raise_to(part);
    most == *all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    fn holding(requests: Value) -> NodeInfo {
        let mut node = node(json!({ "status": { "allocatable": { "ephemeral-storage": "10Gi", "a/gpu": "2" } } }));
        node.add_pod(Arc::new(requesting(requests)));
        node
    }

    fn short(requests: Value, held: Value) -> Option<(String, bool)> {
        verdict(&NodeResourcesFit, &requesting(requests), &holding(held))
    }

    #[test]
    fn a_pod_fits_exactly_or_not_at_all() {
        assert_eq!(short(json!({ "cpu": "3" }), json!({ "cpu": "1" })), None);
        assert_eq!(short(json!({ "cpu": "3001m" }), json!({ "cpu": "1" })), Some(("Insufficient cpu".into(), true)));
    }

    #[test]
    fn each_resource_has_its_reason() {
        for (name, held, wanted) in [("memory", "7Gi", "2Gi"), ("ephemeral-storage", "9Gi", "2Gi"), ("a/gpu", "1", "2")]
        {
            let expected = Some((format!("Insufficient {name}"), true));
            assert_eq!(short(json!({ name: wanted }), json!({ name: held })), expected);
            assert_eq!(short(json!({ name: "1" }), json!({})), None);
        }
    }

    #[test]
    fn all_that_is_short_is_named() {
        let expected = Some(("Insufficient cpu, Insufficient memory".to_owned(), true));
        assert_eq!(short(json!({ "cpu": "4", "memory": "8Gi" }), json!({ "cpu": "1", "memory": "1" })), expected);
    }

    #[test]
    fn more_than_the_node_has_is_unresolvable() {
        assert_eq!(short(json!({ "cpu": "5" }), json!({})), Some(("Insufficient cpu".into(), false)));
        assert_eq!(short(json!({ "b/fpga": "1" }), json!({})), Some(("Insufficient b/fpga".into(), false)));
    }

    #[test]
    fn what_is_not_asked_for_does_not_matter() {
        assert_eq!(short(json!({ "memory": "1" }), json!({ "cpu": "9" })), None);
        assert_eq!(short(json!({ "cpu": "0", "b/fpga": "0" }), json!({ "cpu": "9" })), None);
    }

    #[test]
    fn a_node_takes_only_so_many_pods() {
        let mut full = node(json!({ "status": { "allocatable": { "pods": "1" } } }));
        assert_eq!(verdict(&NodeResourcesFit, &requesting(json!({})), &full), None);
        full.add_pod(Arc::new(requesting(json!({}))));
        assert_eq!(verdict(&NodeResourcesFit, &requesting(json!({})), &full), Some(("Too many pods".into(), true)));
    }

    #[test]
    fn a_node_without_status_takes_none() {
        let bare = NodeInfo::new(Arc::new(k8s_openapi::api::core::v1::Node::default()));
        assert_eq!(verdict(&NodeResourcesFit, &requesting(json!({})), &bare), Some(("Too many pods".into(), true)));
    }

    #[test]
    fn the_emptier_node_is_better() {
        let (empty, half) =
            (holding(json!({ "cpu": "0", "memory": "0" })), holding(json!({ "cpu": "2", "memory": "4Gi" })));
        let pod = requesting(json!({ "cpu": "1", "memory": "2Gi" }));
        assert_eq!(scores(&NodeResourcesFit, &pod, &[&empty, &half]), Some(vec![75, 25]));
    }

    #[test]
    fn requests_that_are_not_named_count_with_their_defaults_when_nodes_are_compared() {
        let (none, some) = (holding(json!({ "cpu": "0", "memory": "0" })), holding(json!({})));
        let pod = requesting(json!({ "cpu": "0", "memory": "0" }));
        assert_eq!(scores(&NodeResourcesFit, &pod, &[&none, &some]), Some(vec![100, 97]));
    }

    #[test]
    fn absurd_sizes_do_not_overflow() {
        assert_eq!(free(0, i64::MAX), Some(100));
        assert_eq!(free(i64::MAX, 1), Some(0));
        assert_eq!(free(1, 0), None);
    }

    #[test]
    fn only_what_makes_room_is_worth_another_attempt() {
        let pod = requesting(json!({ "cpu": "5" }));
        let sized = |cpu: &str| Arc::new(node(json!({ "status": { "allocatable": { "cpu": cpu } } })));
        let update = |old: &str, new: &str| ClusterEvent::NodeUpdated { old: sized(old), new: sized(new) };
        assert!(NodeResourcesFit.may_help(&ClusterEvent::NodeAdded(sized("5")), &pod));
        assert!(!NodeResourcesFit.may_help(&ClusterEvent::NodeAdded(sized("4")), &pod));
        assert!(NodeResourcesFit.may_help(&update("4", "6"), &pod));
        assert!(!NodeResourcesFit.may_help(&update("6", "6"), &pod));
        let scaled = |from: &str, to: &str| ClusterEvent::AssignedPodUpdated {
            old: Arc::new(requesting(json!({ "cpu": from }))),
            new: Arc::new(requesting(json!({ "cpu": to }))),
        };
        assert!(NodeResourcesFit.may_help(&scaled("2", "1"), &pod));
        assert!(!NodeResourcesFit.may_help(&scaled("1", "2"), &pod));
        assert!(!NodeResourcesFit.concerns(EventKind::PodAssigned));
    }
}
