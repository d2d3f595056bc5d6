//! PodDisruptionBudgets (`pkg/registry/policy/poddisruptionbudget`, `pkg/apis/policy`).

use jiff::Timestamp;
use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::{Value, json};

use super::{amount, column, workload};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::{condition, label_selector},
};

/// The rules of disruption budgets.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodDisruptionBudgets;

/// The row of disruption budgets.
pub fn row() -> Resource {
    new_row(PodDisruptionBudgets).short_names(&["pdb"]).subresources(&[Subresource::Status]).conditional_updates()
}

impl Strategy for PodDisruptionBudgets {
    type Object = PodDisruptionBudget;
    type Wire = PodDisruptionBudget;

    fn default(&self, budget: &mut PodDisruptionBudget) {
        budget.spec.get_or_insert_default();
        let status = budget.status.get_or_insert_default();
        // Kubernetes never leaves these out.
        for number in [
            &mut status.current_healthy,
            &mut status.desired_healthy,
            &mut status.disruptions_allowed,
            &mut status.expected_pods,
        ] {
            number.get_or_insert_default();
        }
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, budget: &mut PodDisruptionBudget) {
        budget.status = None;
        self.default(budget);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut PodDisruptionBudget, old: &PodDisruptionBudget) {
        new.status.clone_from(&old.status);
    }

    fn validate(&self, _ctx: &RequestContext, budget: &PodDisruptionBudget) -> Errors {
        budget.spec.as_ref().map(|spec| validate(spec, &Path::new("spec"))).unwrap_or_default()
    }

    fn changes_generation(&self, new: &PodDisruptionBudget, old: &PodDisruptionBudget) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn prepare_for_status_update(
        &self,
        _ctx: &RequestContext,
        new: &mut PodDisruptionBudget,
        old: &PodDisruptionBudget,
    ) {
        new.spec.clone_from(&old.spec);
    }

    fn validate_status_update(
        &self,
        _ctx: &RequestContext,
        new: &PodDisruptionBudget,
        _old: &PodDisruptionBudget,
    ) -> Errors {
        new.status.as_ref().map(|status| validate_status(status, &Path::new("status"))).unwrap_or_default()
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, budget: &PodDisruptionBudget, now: Timestamp) -> Vec<Value> {
        let spec = budget.spec.as_ref();
        let allowed = budget.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or_default();
        vec![
            json!(budget.metadata.name),
            shown(spec.and_then(|spec| spec.min_available.as_ref())),
            shown(spec.and_then(|spec| spec.max_unavailable.as_ref())),
            json!(allowed),
            json!(age::since(budget.metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

fn shown(amount: Option<&IntOrString>) -> Value {
    match amount {
        None => json!("N/A"),
        Some(IntOrString::Int(number)) => json!(number.to_string()),
        Some(IntOrString::String(share)) => json!(share),
    }
}

fn validate(spec: &PodDisruptionBudgetSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(Error::invalid(path, internal_form(spec), detail));
    }
    let amounts = [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)];
    for (name, amount) in amounts {
        errors.extend(amount.iter().flat_map(|amount| amount::validate(amount, &path.child(name))));
    }
    if let Some(selector) = &spec.selector {
        errors.extend(label_selector::validate(selector, &path.child("selector")));
    }
    match spec.unhealthy_pod_eviction_policy.as_deref() {
        None | Some("AlwaysAllow" | "IfHealthyBudget") => {}
        Some(policy) => {
            let path = path.child("unhealthyPodEvictionPolicy");
            errors.push(Error::not_supported(&path, policy, &["AlwaysAllow", "IfHealthyBudget"]));
        }
    }
    errors
}

/// The spec as Kubernetes' messages show it: its internal form, whose fields have Go's names.
fn internal_form(spec: &PodDisruptionBudgetSpec) -> Shown {
    let json = |value: Value| value.to_string();
    Shown::raw(format!(
        r#"{{"MinAvailable":{},"Selector":{},"MaxUnavailable":{},"UnhealthyPodEvictionPolicy":{}}}"#,
        json(json!(spec.min_available)),
        json(json!(spec.selector)),
        json(json!(spec.max_unavailable)),
        json(json!(spec.unhealthy_pod_eviction_policy)),
    ))
}

fn validate_status(status: &PodDisruptionBudgetStatus, path: &Path) -> Errors {
    let mut errors = condition::validate(status.conditions.as_deref().unwrap_or_default(), &path.child("conditions"));
    let numbers = [
        ("disruptionsAllowed", status.disruptions_allowed),
        ("currentHealthy", status.current_healthy),
        ("desiredHealthy", status.desired_healthy),
        ("expectedPods", status.expected_pods),
    ];
    errors.extend(numbers.into_iter().filter_map(|(name, number)| workload::not_negative(number, &path.child(name))));
    errors
}

const COLUMNS: &[Column] = &[
    column::NAME,
    column::text("Min Available", "The minimum number of pods that must be available."),
    column::text("Max Unavailable", "The maximum number of pods that may be unavailable."),
    Column {
        name: "Allowed Disruptions",
        kind: "integer",
        format: "",
        description: "Calculated number of pods that may be disrupted at this time.",
        priority: 0,
    },
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    fn errors(spec: Value) -> Vec<String> {
        texts(&PodDisruptionBudgets.validate(&context(), &object(json!({"spec": spec}))))
    }

    #[test]
    fn amounts_are_numbers_or_shares_and_one_of_them_is_said() {
        for good in [json!({}), json!({"minAvailable": 0}), json!({"maxUnavailable": "100%"})] {
            assert!(errors(good.clone()).is_empty(), "{good}");
        }
        assert_eq!(
            errors(json!({"minAvailable": 1, "maxUnavailable": "50%", "selector": {"matchLabels": {"a": "b"}}})),
            [concat!(
                r#"spec: Invalid value: {"MinAvailable":1,"Selector":{"matchLabels":{"a":"b"}},"MaxUnavailable":"50%","#,
                r#""UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set"#
            )]
        );
        assert_eq!(
            errors(json!({"minAvailable": -1})),
            ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"]
        );
        assert_eq!(
            errors(json!({"maxUnavailable": "101%"})),
            [r#"spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%"#]
        );
        let found = errors(json!({"maxUnavailable": "half"}));
        assert!(found[0].starts_with(r#"spec.maxUnavailable: Invalid value: "half": a valid percent string"#));
    }

    #[test]
    fn selectors_and_policies_are_checked() {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "Is"}]});
        assert_eq!(
            errors(json!({"selector": selector, "unhealthyPodEvictionPolicy": "Never"})),
            [
                r#"spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator"#,
                r#"spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget""#,
            ]
        );
        assert!(errors(json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"})).is_empty());
    }

    #[test]
    fn the_status_is_the_controllers_own() {
        let (mut new, old): (PodDisruptionBudget, PodDisruptionBudget) = (
            object(json!({"spec": {"minAvailable": 2}, "status": {"disruptionsAllowed": 7}})),
            object(json!({"spec": {"minAvailable": 1}, "status": {"disruptionsAllowed": 3}})),
        );
        PodDisruptionBudgets.prepare_for_update(&context(), &mut new, &old);
        assert_eq!((new.status.clone(), new.spec != old.spec), (old.status.clone(), true));
        PodDisruptionBudgets.prepare_for_status_update(&context(), &mut new, &old);
        assert_eq!(new.spec, old.spec);
        PodDisruptionBudgets.prepare_for_create(&context(), &mut new);
        assert_eq!(
            json!(new.status),
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0})
        );
        let negative = object(json!({"status": {"currentHealthy": -1}}));
        assert_eq!(
            texts(&PodDisruptionBudgets.validate_status_update(&context(), &negative, &old)),
            ["status.currentHealthy: Invalid value: -1: must be greater than or equal to 0"]
        );
    }

    #[test]
    fn tables_say_what_is_not_said() {
        let budget = object(json!({"metadata": {"name": "a"}, "spec": {"maxUnavailable": "25%"}}));
        let cells = PodDisruptionBudgets.cells(&budget, Timestamp::UNIX_EPOCH);
        assert_eq!(cells[..4], [json!("a"), json!("N/A"), json!("25%"), json!(0)]);
    }
}
