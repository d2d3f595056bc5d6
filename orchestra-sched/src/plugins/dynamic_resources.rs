use orchestra_core::scheduler::{EventKind, PodInfo, Rejection, Snapshot};

use crate::framework::{
    CycleState, Failure, Plugin, PostFilter, PostFilterOutcome, PreFilter, PreFilterOutcome, Requeue,
};

/// Holds back pods with resource claims, which this scheduler cannot allocate devices for yet, and adds its part to the message
/// about pods that fit nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct DynamicResources;

impl Plugin for DynamicResources {
    fn name(&self) -> &'static str {
        "DynamicResources"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

/// The plugin was asked about the pod before nodes were looked at.
struct Asked;

impl PreFilter for DynamicResources {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        state.write(Asked);
        let claims = pod.spec().and_then(|spec| spec.resource_claims.as_deref()).unwrap_or_default();
        if claims.is_empty() {
            PreFilterOutcome::Skip
        } else {
            PreFilterOutcome::Reject(Rejection::new("resource claims cannot be allocated").unresolvable())
        }
    }
}

impl Requeue for DynamicResources {
    fn concerns(&self, kind: EventKind) -> bool {
        kind == EventKind::PodUpdated
    }
}

impl PostFilter for DynamicResources {
    fn post_filter(&self, state: &mut CycleState, _: &PodInfo, _: &Snapshot, _: &Failure<'_>) -> PostFilterOutcome {
        match state.read::<Asked>() {
            Some(Asked) => PostFilterOutcome::Unhelpful("no new claims to deallocate".to_owned()),
            // Another plugin rejected the pod before. Kubernetes' then does not find what it keeps of the pod, and says so.
            None => PostFilterOutcome::Failed("not found".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use orchestra_core::scheduler::Diagnosis;
    use serde_json::json;

    use super::{super::testing::*, *};
    use crate::framework::Filters;

    #[test]
    fn what_a_plugin_before_it_rejected_is_not_found() {
        let outcome = |state: &mut CycleState| {
            let (diagnosis, filters) = (Diagnosis::new(1), Filters::default());
            let failure = Failure { diagnosis: &diagnosis, filters: &filters, seed: 0 };
            DynamicResources.post_filter(state, &pod(json!({})), &Snapshot::default(), &failure)
        };
        let mut state = CycleState::default();
        assert_eq!(outcome(&mut state), PostFilterOutcome::Failed("not found".to_owned()));
        DynamicResources.pre_filter(&mut state, &pod(json!({})), &Snapshot::default());
        assert_eq!(outcome(&mut state), PostFilterOutcome::Unhelpful("no new claims to deallocate".to_owned()));
    }

    #[test]
    fn a_pod_with_claims_is_held_back() {
        let outcome = |spec| DynamicResources.pre_filter(&mut CycleState::default(), &pod(spec), &Snapshot::default());
        assert_eq!(outcome(json!({})), PreFilterOutcome::Skip);
        let claims = json!({ "resourceClaims": [{ "name": "gpu", "resourceClaimName": "gpu" }] });
        assert!(matches!(outcome(claims), PreFilterOutcome::Reject(_)));
    }
}
