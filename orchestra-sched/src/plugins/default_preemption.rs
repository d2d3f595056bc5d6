use orchestra_core::scheduler::{Diagnosis, PodInfo, Rejection, Snapshot};

use crate::framework::{CycleState, Plugin, PostFilter, PostFilterOutcome};

/// Says in Kubernetes' words what preemption could do for a pod that fits nowhere. It takes no pods away yet: where others
/// would have to go, it finds no victims.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultPreemption;

impl Plugin for DefaultPreemption {
    fn name(&self) -> &'static str {
        "DefaultPreemption"
    }

    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        Some(self)
    }
}

impl PostFilter for DefaultPreemption {
    fn post_filter(&self, _: &CycleState, pod: &PodInfo, _: &Snapshot, diagnosis: &Diagnosis) -> PostFilterOutcome {
        let policy = pod.spec().and_then(|spec| spec.preemption_policy.as_deref());
        if policy == Some("Never") {
            return PostFilterOutcome::Unhelpful("preemption: not eligible due to preemptionPolicy=Never.".to_owned());
        }
        let mut outcome = Diagnosis::new(diagnosis.node_count());
        for (node, rejection) in diagnosis.rejections() {
            if rejection.is_resolvable() {
                outcome.reject(node.clone(), Rejection::new("No preemption victims found for incoming pod"));
            }
        }
        outcome.reject_others(Rejection::new("Preemption is not helpful for scheduling"));
        PostFilterOutcome::Unhelpful(format!("preemption: {outcome}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::*, *};

    fn outcome(spec: serde_json::Value) -> String {
        let mut diagnosis = Diagnosis::new(3);
        diagnosis.reject("n1".into(), Rejection::new("Insufficient cpu"));
        diagnosis.reject("n2".into(), Rejection::new("node(s) were unschedulable").unresolvable());
        diagnosis.reject("n3".into(), Rejection::new("node(s) were unschedulable").unresolvable());
        let state = CycleState::default();
        let PostFilterOutcome::Unhelpful(text) =
            DefaultPreemption.post_filter(&state, &pod(spec), &Snapshot::default(), &diagnosis);
        text
    }

    #[test]
    fn only_resolvable_nodes_are_searched_for_victims() {
        assert_eq!(
            outcome(json!({})),
            "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
             2 Preemption is not helpful for scheduling."
        );
    }

    #[test]
    fn a_pod_that_must_not_preempt_does_not() {
        assert_eq!(
            outcome(json!({ "preemptionPolicy": "Never" })),
            "preemption: not eligible due to preemptionPolicy=Never."
        );
    }
}
