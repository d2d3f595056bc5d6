//! Objects for the plugins' tests, from the JSON that matters.

use std::sync::Arc;

use orchestra_core::scheduler::{NodeInfo, PodInfo, Snapshot};
use serde_json::{Value, json};

use crate::framework::{CycleState, Plugin, PreFilterOutcome};

/// A pod with this `spec` and one container that asks for nothing, unless the spec says otherwise.
pub(super) fn pod(spec: Value) -> PodInfo {
    let mut pod = json!({
        "metadata": { "name": "p", "namespace": "default", "uid": "p" },
        "spec": { "containers": [{ "name": "c" }] },
    });
    merge(&mut pod["spec"], spec);
    serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap().into()
}

/// A pod whose container asks for these resources.
pub(super) fn requesting(requests: Value) -> PodInfo {
    pod(json!({ "containers": [{ "name": "c", "resources": { "requests": requests } }] }))
}

/// Node `n1` with 4 CPUs, 8 GiB and room for 10 pods, changed by `changes`.
pub(super) fn node(changes: Value) -> NodeInfo {
    let mut node = json!({
        "metadata": { "name": "n1" },
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "10" } },
    });
    merge(&mut node, changes);
    NodeInfo::new(Arc::new(serde_json::from_value(node).unwrap()))
}

pub(super) fn merge(target: &mut Value, changes: Value) {
    match (target, changes) {
        (Value::Object(target), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, changes) => *target = changes,
    }
}

/// What `plugin` says about `pod` on `node`: its reasons and whether preemption could help, or nothing.
pub(super) fn verdict(plugin: &impl Plugin, pod: &PodInfo, node: &NodeInfo) -> Option<(String, bool)> {
    verdict_in(plugin, pod, node, &Snapshot::from_iter([node.clone()]))
}

/// The same in a cluster where there are other nodes and objects too.
pub(super) fn verdict_in(
    plugin: &impl Plugin,
    pod: &PodInfo,
    node: &NodeInfo,
    snapshot: &Snapshot,
) -> Option<(String, bool)> {
    let mut state = CycleState::default();
    let outcome = plugin.as_pre_filter().map(|point| point.pre_filter(&mut state, pod, snapshot));
    let rejection = match outcome.unwrap_or(PreFilterOutcome::Continue) {
        PreFilterOutcome::Skip => None,
        PreFilterOutcome::Reject(rejection) => Some(rejection),
        _ => plugin.as_filter().unwrap().filter(&state, pod, node).err(),
    };
    rejection.map(|rejection| (rejection.reasons().join(", "), rejection.is_resolvable()))
}

/// The normalised scores of `nodes`; nothing if the plugin takes them all to be equal.
pub(super) fn scores(plugin: &impl Plugin, pod: &PodInfo, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let mut state = CycleState::default();
    if let Some(point) = plugin.as_pre_filter() {
        point.pre_filter(&mut state, pod, &Snapshot::from_iter(nodes.iter().copied().cloned()));
    }
    let goes_on = plugin.as_pre_score().is_none_or(|point| point.pre_score(&mut state, pod, nodes));
    goes_on.then(|| {
        let mut scores = Vec::new();
        let point = plugin.as_score().unwrap();
        point.score_all(&state, pod, nodes, &mut scores);
        point.normalize(&mut scores);
        scores
    })
}
