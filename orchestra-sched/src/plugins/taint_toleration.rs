use k8s_openapi::api::core::v1::Toleration;
use orchestra_core::scheduler::{ClusterEvent, EventKind, NodeInfo, PodInfo, Rejection};

use super::toleration::{may_go_to, tolerated, tolerations};
use crate::framework::{CycleState, Filter, Plugin, PreScore, Requeue, Score, normalize};

/// Keeps pods off nodes with taints that they do not tolerate, and prefers nodes with fewer untolerated `PreferNoSchedule` taints.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaintToleration;

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

fn accepts(pod: &PodInfo, node: &NodeInfo) -> bool {
    may_go_to(tolerations(pod), node)
}

impl Filter for TaintToleration {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if accepts(pod, node) {
            Ok(())
        } else {
            // Since 1.34 the taint is not named: keys and values of nodes are not every user's business.
            Err(Rejection::new("node(s) had untolerated taint(s)").unresolvable())
        }
    }
}

impl PreScore for TaintToleration {
    fn pre_score(&self, _: &mut CycleState, _: &PodInfo, nodes: &[&NodeInfo]) -> bool {
        nodes.iter().any(|node| node.has_soft_taints())
    }
}

impl Score for TaintToleration {
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> i64 {
        if !node.has_soft_taints() {
            return 0;
        }
        let tolerations: &[Toleration] = tolerations(pod);
        let soft = node.taints().iter().filter(|taint| !taint.effect.is_hard());
        soft.filter(|taint| !tolerated(tolerations, taint)).map(|_| 1).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, true);
    }
}

impl Requeue for TaintToleration {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(kind, EventKind::NodeAdded | EventKind::NodeUpdated | EventKind::PodUpdated)
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        match event {
            ClusterEvent::PodUpdated { old, new } => tolerations(old) != tolerations(new),
            event => event.may_bring_node(|node| accepts(pod, node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    fn tainted(effects: &[&str]) -> NodeInfo {
        let taints: Vec<Value> = effects
            .iter()
            .enumerate()
            .map(|(i, e)| json!({ "key": format!("k{i}"), "value": "v", "effect": e }))
            .collect();
        node(json!({ "spec": { "taints": taints } }))
    }

    fn tolerant(keys: &[&str]) -> PodInfo {
        let tolerations: Vec<Value> = keys.iter().map(|key| json!({ "key": key, "operator": "Exists" })).collect();
        pod(json!({ "tolerations": tolerations }))
    }

    #[test]
    fn an_untolerated_hard_taint_keeps_a_pod_off() {
        let expected = Some(("node(s) had untolerated taint(s)".to_owned(), false));
        for effect in ["NoSchedule", "NoExecute"] {
            assert_eq!(verdict(&TaintToleration, &tolerant(&[]), &tainted(&[effect])), expected);
            assert_eq!(verdict(&TaintToleration, &tolerant(&["k0"]), &tainted(&[effect])), None);
        }
        assert_eq!(verdict(&TaintToleration, &tolerant(&["k0"]), &tainted(&["NoSchedule", "NoExecute"])), expected);
    }

    #[test]
    fn a_soft_taint_does_not_keep_a_pod_off() {
        assert_eq!(verdict(&TaintToleration, &tolerant(&[]), &tainted(&["PreferNoSchedule"])), None);
    }

    #[test]
    fn fewer_untolerated_soft_taints_are_better() {
        let nodes = [tainted(&[]), tainted(&["PreferNoSchedule"]), tainted(&["PreferNoSchedule", "PreferNoSchedule"])];
        let nodes: Vec<&NodeInfo> = nodes.iter().collect();
        assert_eq!(scores(&TaintToleration, &tolerant(&[]), &nodes), Some(vec![100, 50, 0]));
        assert_eq!(scores(&TaintToleration, &tolerant(&["k0"]), &nodes), Some(vec![100, 100, 0]));
        assert_eq!(scores(&TaintToleration, &tolerant(&[]), &nodes[..1]), None);
    }

    #[test]
    fn a_removed_taint_is_worth_another_attempt() {
        let (old, new) = (tainted(&["NoSchedule"]).into(), tainted(&[]).into());
        assert!(TaintToleration.may_help(&ClusterEvent::NodeUpdated { old, new }, &tolerant(&[])));
        let (old, new) = (tainted(&["NoSchedule"]).into(), tainted(&["NoExecute"]).into());
        assert!(!TaintToleration.may_help(&ClusterEvent::NodeUpdated { old, new }, &tolerant(&[])));
    }

    #[test]
    fn a_pod_that_comes_to_tolerate_more_is_worth_another_attempt() {
        let update = |old: &[&str], new: &[&str]| ClusterEvent::PodUpdated {
            old: tolerant(old).into(),
            new: tolerant(new).into(),
        };
        assert!(TaintToleration.may_help(&update(&[], &["k0"]), &tolerant(&[])));
        assert!(!TaintToleration.may_help(&update(&["k0"], &["k0"]), &tolerant(&["k0"])));
    }

    #[test]
    fn a_toleration_covers_the_effect_that_it_names_or_all() {
        let node = tainted(&["NoExecute"]);
        let toleration = |changes: Value| {
            let mut toleration = json!({ "key": "k0", "operator": "Equal", "value": "v" });
            merge(&mut toleration, changes);
            pod(json!({ "tolerations": [toleration] }))
        };
        assert_eq!(verdict(&TaintToleration, &toleration(json!({})), &node), None);
        assert_eq!(verdict(&TaintToleration, &toleration(json!({ "effect": "NoExecute" })), &node), None);
        assert!(verdict(&TaintToleration, &toleration(json!({ "effect": "NoSchedule" })), &node).is_some());
        assert!(verdict(&TaintToleration, &toleration(json!({ "value": "w" })), &node).is_some());
    }

    #[test]
    fn numbers_are_not_compared_as_long_as_that_is_alpha() {
        let node = node(json!({ "spec": { "taints": [{ "key": "k", "value": "5", "effect": "NoSchedule" }] } }));
        for operator in ["Lt", "Gt"] {
            let pod = pod(json!({ "tolerations": [{ "key": "k", "operator": operator, "value": "9" }] }));
            assert!(verdict(&TaintToleration, &pod, &node).is_some());
        }
    }
}
