use orchestra_core::scheduler::{EventKind, PodInfo, Rejection};

use crate::framework::{Plugin, PreEnqueue, Requeue};

/// Holds a pod back until its scheduling gates are gone (KEP-3521). No attempt is made, and nothing is reported: the API server has said
/// so in the pod's condition.
#[derive(Clone, Copy, Debug, Default)]
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn as_pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        if !pod.is_gated() {
            return Ok(());
        }
        let gates = pod.spec().and_then(|spec| spec.scheduling_gates.as_deref()).unwrap_or_default();
        let names: Vec<&str> = gates.iter().map(|gate| &*gate.name).collect();
        Err(Rejection::new(format!("waiting for scheduling gates: [{}]", names.join(" "))).unresolvable())
    }
}

impl Requeue for SchedulingGates {
    fn concerns(&self, kind: EventKind) -> bool {
        kind == EventKind::PodUpdated
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::*, *};

    #[test]
    fn a_pod_with_gates_is_held_back_and_they_are_named() {
        assert_eq!(SchedulingGates.pre_enqueue(&pod(json!({ "schedulingGates": [] }))), Ok(()));
        let gated = pod(json!({ "schedulingGates": [{ "name": "a/b" }, { "name": "c" }] }));
        let held = SchedulingGates.pre_enqueue(&gated).unwrap_err();
        assert_eq!(held.reasons(), ["waiting for scheduling gates: [a/b c]"]);
    }
}
