//! Which taints a node should have. Those that are not of its conditions stay as they are.

use k8s_openapi::{
    api::core::v1::{Node, Taint},
    apimachinery::pkg::apis::meta::v1::Time,
};

use orchestra_core::well_known_taints::{
    DISK_PRESSURE, MEMORY_PRESSURE, NETWORK_UNAVAILABLE, NOT_READY, PID_PRESSURE, UNREACHABLE, UNSCHEDULABLE,
};

use super::conditions;

/// The taint of a condition in a status.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", MEMORY_PRESSURE),
    ("DiskPressure", "True", DISK_PRESSURE),
    ("NetworkUnavailable", "True", NETWORK_UNAVAILABLE),
    ("PIDPressure", "True", PID_PRESSURE),
];

const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// What is to become of the taints that have pods evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoExecute {
    /// There is none.
    None,
    /// The one of the node's readiness.
    ByReadiness,
    /// The same, if there is one already.
    OnlyIfAny,
}

/// The taints that the node should have; none if it has them.
pub(super) fn wanted(node: &Node, no_execute: NoExecute, now: &Time) -> Option<Vec<Taint>> {
    let present = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let mut due: Vec<(&str, &str)> = no_schedule(node).into_iter().map(|key| (key, NO_SCHEDULE)).collect();
    let evicts = match no_execute {
        NoExecute::None => false,
        NoExecute::ByReadiness => true,
        NoExecute::OnlyIfAny => has_no_execute(node),
    };
    let readiness = due.iter().map(|(key, _)| *key).find(|key| [NOT_READY, UNREACHABLE].contains(key));
    due.extend(readiness.filter(|_| evicts).map(|key| (key, NO_EXECUTE)));
    let is_due = |taint: &&Taint| !is_ours(taint) || due.contains(&(&taint.key, &taint.effect));
    let mut taints: Vec<Taint> = present.iter().filter(is_due).cloned().collect();
    for (key, effect) in due {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let (key, effect, time_added) = (key.to_owned(), effect.to_owned(), Some(now.clone()));
            taints.push(Taint { key, effect, time_added, value: None });
        }
    }
    (taints != present).then_some(taints)
}

/// Whether the node has a taint by which its readiness has pods evicted.
pub(super) fn has_no_execute(node: &Node) -> bool {
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.any(|taint| taint.effect == NO_EXECUTE && is_ours(taint))
}

/// The keys of what keeps pods off the node.
fn no_schedule(node: &Node) -> Vec<&'static str> {
    let has = |kind: &str, status: &str| {
        conditions::all(node).iter().any(|condition| condition.type_ == kind && condition.status == status)
    };
    let by_condition = BY_CONDITION.into_iter().filter(|(kind, status, _)| has(kind, status)).map(|(_, _, key)| key);
    let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    by_condition.chain(is_cordoned.then_some(UNSCHEDULABLE)).collect()
}

/// Whether the taint comes and goes with the node's state.
fn is_ours(taint: &Taint) -> bool {
    match taint.effect.as_str() {
        NO_SCHEDULE => taint.key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, key)| taint.key == *key),
        NO_EXECUTE => [NOT_READY, UNREACHABLE].contains(&&*taint.key),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(ready: &str, spec: Value) -> Node {
        let conditions = json!([{"type": "Ready", "status": ready}, {"type": "DiskPressure", "status": "False"}]);
        serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": {"conditions": conditions}})).unwrap()
    }

    fn wants(node: &Node, no_execute: NoExecute) -> Option<Vec<String>> {
        let taints = wanted(node, no_execute, &Time("2026-01-01T00:00:00Z".parse().unwrap()))?;
        let text = |taint: &Taint| {
            let new = if taint.time_added.is_some() { " new" } else { "" };
            format!("{}:{}{new}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect)
        };
        Some(taints.iter().map(text).collect())
    }

    fn taint(key: &str, effect: &str) -> Value {
        json!({"key": key, "effect": effect})
    }

    #[test]
    fn taints_follow_the_conditions_and_others_stay() {
        let mine =
            [taint("mine", NO_SCHEDULE), taint(NOT_READY, NO_SCHEDULE), taint(UNSCHEDULABLE, "PreferNoSchedule")];
        let ready = node("True", json!({"taints": mine}));
        assert_eq!(wants(&ready, NoExecute::None).unwrap(), ["mine:NoSchedule", "unschedulable:PreferNoSchedule"]);
        let cordoned = node("True", json!({"unschedulable": true, "taints": [taint("mine", NO_SCHEDULE)]}));
        assert_eq!(wants(&cordoned, NoExecute::None).unwrap(), ["mine:NoSchedule", "unschedulable:NoSchedule new"]);
        assert_eq!(wants(&node("True", json!({})), NoExecute::None), None);
        assert_eq!(wants(&node("False", json!({})), NoExecute::None).unwrap(), ["not-ready:NoSchedule new"]);
    }

    #[test]
    fn the_taint_that_evicts_follows_the_readiness() {
        let silent = node("Unknown", json!({}));
        let both = ["unreachable:NoSchedule new", "unreachable:NoExecute new"];
        assert_eq!(wants(&silent, NoExecute::ByReadiness).unwrap(), both);
        assert_eq!(wants(&silent, NoExecute::OnlyIfAny).unwrap(), both[..1]);
        // It was not ready before, and its pods are being evicted already.
        let worse = node("Unknown", json!({"taints": [taint(NOT_READY, NO_SCHEDULE), taint(NOT_READY, NO_EXECUTE)]}));
        assert_eq!(wants(&worse, NoExecute::OnlyIfAny).unwrap(), both);
        assert_eq!(wants(&worse, NoExecute::None).unwrap(), both[..1]);
    }
}
