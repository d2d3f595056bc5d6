use orchestra_core::scheduler::{PodInfo, Snapshot};

use crate::framework::{CycleState, Failure, Plugin, PostFilter, PostFilterOutcome};

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
    fn post_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot, failure: &Failure<'_>) -> PostFilterOutcome {
        let diagnosis = failure.diagnosis;
        let policy = pod.spec().and_then(|spec| spec.preemption_policy.as_deref());
        if policy == Some("Never") {
            return PostFilterOutcome::Unhelpful("preemption: not eligible due to preemptionPolicy=Never.".to_owned());
        }
        let nodes = diagnosis.node_count();
        let without_victims = diagnosis.resolvable_count();
        let phrases = [
            (without_victims, "No preemption victims found for incoming pod"),
            (nodes.saturating_sub(without_victims), "Preemption is not helpful for scheduling"),
        ];
        let mut phrases: Vec<String> =
            phrases.iter().filter(|(n, _)| *n > 0).map(|(n, text)| format!("{n} {text}")).collect();
        phrases.sort_unstable();
        let summary = phrases.join(", ");
        PostFilterOutcome::Unhelpful(format!("preemption: 0/{nodes} nodes are available: {summary}."))
    }
}

#[cfg(test)]
mod tests {
    use orchestra_core::scheduler::{Diagnosis, Rejection};
    use serde_json::json;

    use super::{super::testing::*, *};
    use crate::framework::Filters;

    fn outcome(spec: serde_json::Value) -> String {
        let mut diagnosis = Diagnosis::new(3);
        diagnosis.reject("n1".into(), Rejection::new("Insufficient cpu"));
        diagnosis.reject("n2".into(), Rejection::new("node(s) were unschedulable").unresolvable());
        diagnosis.reject("n3".into(), Rejection::new("node(s) were unschedulable").unresolvable());
        let filters = Filters::default();
        let failure = Failure { diagnosis: &diagnosis, filters: &filters, seed: 0 };
        match DefaultPreemption.post_filter(&mut CycleState::default(), &pod(spec), &Snapshot::default(), &failure) {
            PostFilterOutcome::Unhelpful(text) => text,
            failed => panic!("{failed:?}"),
        }
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
