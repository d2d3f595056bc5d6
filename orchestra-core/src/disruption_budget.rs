//! What PodDisruptionBudgets say to those who keep them and those who go by them (`component-helpers/apps/poddisruptionbudget`).

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::Pod,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};

use crate::{condition, selector::label::Selector};

/// The type of the condition that says whether a pod may go.
pub const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";
/// The condition's reason while nobody knows.
pub const SYNC_FAILED: &str = "SyncFailed";

/// The pods that the budget is about: none without a selector, or with one that is not valid, and all of the namespace with an empty one,
/// as in `policy/v1`.
///
/// ```
/// use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
/// use orchestra_core::disruption_budget::selector;
/// let mut budget = PodDisruptionBudget::default();
/// assert!(selector(&budget).is_nothing());
/// budget.spec = Some(PodDisruptionBudgetSpec { selector: Some(Default::default()), ..Default::default() });
/// assert!(selector(&budget).is_everything());
/// ```
pub fn selector(budget: &PodDisruptionBudget) -> Selector {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.and_then(|selector| selector.try_into().ok()).unwrap_or_else(Selector::nothing)
}

/// Whether the budget is about the pod.
pub fn selects(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    budget.metadata.namespace == pod.metadata.namespace
        && selector(budget).matches_optional(pod.metadata.labels.as_ref())
}

/// Brings the condition [`DISRUPTION_ALLOWED`] in line with `disruptionsAllowed`.
pub fn update_condition(status: &mut PodDisruptionBudgetStatus, now: Timestamp) {
    let (value, reason) = match status.disruptions_allowed {
        Some(1..) => ("True", "SufficientPods"),
        _ => ("False", "InsufficientPods"),
    };
    set_condition(status, value, reason, String::new(), now);
}

/// Says that nobody knows how many pods may go, so that none may.
pub fn fail(status: &mut PodDisruptionBudgetStatus, why: String, now: Timestamp) {
    status.disruptions_allowed = Some(0);
    set_condition(status, "False", SYNC_FAILED, why, now);
}

fn set_condition(status: &mut PodDisruptionBudgetStatus, value: &str, reason: &str, message: String, now: Timestamp) {
    let condition = Condition {
        type_: DISRUPTION_ALLOWED.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: status.observed_generation,
        // Times of the API have whole seconds.
        last_transition_time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
    };
    condition::set(status.conditions.get_or_insert_default(), condition);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: &PodDisruptionBudgetStatus) -> (&str, &str, i64) {
        let condition = condition::find(status.conditions.as_deref().unwrap(), DISRUPTION_ALLOWED).unwrap();
        (&condition.status, &condition.reason, condition.last_transition_time.0.as_second())
    }

    #[test]
    fn the_condition_follows_the_number_and_its_time_the_status() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut status = PodDisruptionBudgetStatus { disruptions_allowed: Some(1), ..Default::default() };
        update_condition(&mut status, at(1));
        assert_eq!(shown(&status), ("True", "SufficientPods", 1));
        status.disruptions_allowed = Some(0);
        update_condition(&mut status, at(2));
        assert_eq!(shown(&status), ("False", "InsufficientPods", 2));
        fail(&mut status, "no".to_owned(), at(3));
        assert_eq!(shown(&status), ("False", SYNC_FAILED, 2));
        assert_eq!(status.conditions.unwrap().len(), 1);
    }

    #[test]
    fn only_pods_of_its_namespace_are_selected() {
        let budget = serde_json::json!({
            "metadata": {"namespace": "a"}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
        });
        let budget: PodDisruptionBudget = serde_json::from_value(budget).unwrap();
        let pod = |namespace: &str, app: &str| -> Pod {
            let metadata = serde_json::json!({"namespace": namespace, "labels": {"app": app}});
            serde_json::from_value(serde_json::json!({ "metadata": metadata })).unwrap()
        };
        assert!(selects(&budget, &pod("a", "web")));
        assert!(!selects(&budget, &pod("b", "web")));
        assert!(!selects(&budget, &pod("a", "db")));
    }
}
