//! PriorityClasses (`pkg/registry/scheduling/priorityclass`, `pkg/apis/scheduling`).

use jiff::Timestamp;
use k8s_openapi::{api::scheduling::v1::PriorityClass, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::{Value, json};

use super::column;
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The greatest value of a class that is not the system's own (`HighestUserDefinablePriority`).
const HIGHEST_OF_USERS: i32 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";

/// The classes that every cluster has: name, value, description.
const SYSTEM: [(&str, i32, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

/// The classes that the server creates when it starts.
pub fn builtins() -> Vec<PriorityClass> {
    let class = |(name, value, description): (&str, i32, &str)| PriorityClass {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        value: Some(value),
        description: Some(description.to_owned()),
        ..PriorityClass::default()
    };
    SYSTEM.map(class).into()
}

/// The rules of priority classes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorityClasses;

/// The row of priority classes.
pub fn row() -> Resource {
    new_row(PriorityClasses).cluster_scoped().short_names(&["pc"])
}

impl Strategy for PriorityClasses {
    type Object = PriorityClass;
    type Wire = PriorityClass;

    fn default(&self, class: &mut PriorityClass) {
        class.value.get_or_insert_default();
        class.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
    }

    fn validate(&self, _ctx: &RequestContext, class: &PriorityClass) -> Errors {
        let mut errors = Errors::new();
        let name = class.metadata.name.as_deref().unwrap_or_default();
        if name.starts_with(SYSTEM_PREFIX) {
            if let Err(why) = is_known(class, name) {
                let detail = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
                );
                errors.push(Error::forbidden(&Path::new("metadata").child("name"), &detail));
            }
        } else if class.value > Some(HIGHEST_OF_USERS) {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}");
            errors.push(Error::forbidden(&Path::new("value"), &detail));
        }
        match class.preemption_policy.as_deref() {
            None | Some("Never" | "PreemptLowerPriority") => {}
            Some("") => errors.push(Error::required(&Path::new("preemptionPolicy"), "")),
            Some(policy) => errors.push(Error::not_supported(
                &Path::new("preemptionPolicy"),
                policy,
                &["PreemptLowerPriority", "Never"],
            )),
        }
        errors
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &PriorityClass, old: &PriorityClass) -> Errors {
        let mut errors = Errors::new();
        if new.value != old.value {
            errors.push(Error::forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        if new.preemption_policy != old.preemption_policy {
            let policy = Shown::json(&new.preemption_policy);
            errors.push(Error::invalid(&Path::new("preemptionPolicy"), policy, "field is immutable"));
        }
        errors
    }

    fn changes_generation(&self, _new: &PriorityClass, _old: &PriorityClass) -> Option<bool> {
        // Kubernetes sets it at creation and leaves it.
        Some(false)
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, class: &PriorityClass, now: Timestamp) -> Vec<Value> {
        let metadata = &class.metadata;
        vec![
            json!(metadata.name),
            json!(class.value.unwrap_or_default()),
            json!(class.global_default.unwrap_or_default()),
            json!(age::since(metadata.creation_timestamp.as_ref(), now)),
            json!(class.preemption_policy.as_deref().unwrap_or_default()),
        ]
    }
}

/// Whether a class with a reserved name is just what the system defines.
fn is_known(class: &PriorityClass, name: &str) -> Result<(), String> {
    let Some((_, value, _)) = SYSTEM.into_iter().find(|(known, ..)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if class.value != Some(value) {
        return Err(format!("value of {name} PriorityClass must be {value}"));
    }
    match class.global_default {
        Some(true) => Err(format!("globalDefault of {name} PriorityClass must be false")),
        _ => Ok(()),
    }
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Value",
        kind: "integer",
        format: "",
        description: "value represents the integer value of this priority class. This is the actual priority that pods receive when they have the name of this class in their pod spec.",
        priority: 0,
    },
    Column {
        name: "Global-Default",
        kind: "boolean",
        format: "",
        description: "globalDefault specifies whether this PriorityClass should be considered as the default priority for pods that do not have any priority class. Only one PriorityClass can be marked as `globalDefault`. However, if more than one PriorityClasses exists with their `globalDefault` field set to true, the smallest value of such global default PriorityClasses will be used as the default priority.",
        priority: 0,
    },
    column::AGE,
    Column {
        name: "PreemptionPolicy",
        kind: "string",
        format: "",
        description: "preemptionPolicy is the Policy for preempting pods with lower priority. One of Never, PreemptLowerPriority. Defaults to PreemptLowerPriority if unset.",
        priority: 0,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn the_systems_own_classes_are_valid() {
        for class in builtins() {
            assert!(PriorityClasses.validate(&context(), &class).is_empty(), "{class:?}");
        }
    }

    #[test]
    fn system_names_and_great_values_are_reserved() {
        let class = |name: &str, value: i32| object(json!({"metadata": {"name": name}, "value": value}));
        let cases = [
            (
                class("system-mine", 1),
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
            ),
            (
                class("mine", HIGHEST_OF_USERS + 1),
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
            ),
        ];
        for (class, expected) in cases {
            assert_eq!(texts(&PriorityClasses.validate(&context(), &class)), [expected]);
        }
    }

    #[test]
    fn value_and_policy_are_immutable() {
        let mut old: PriorityClass = object(json!({"value": 1}));
        PriorityClasses.default(&mut old);
        let new = object(json!({"value": 2, "preemptionPolicy": "Never"}));
        assert_eq!(
            texts(&PriorityClasses.validate_update(&context(), &new, &old)),
            [
                "value: Forbidden: may not be changed in an update.",
                r#"preemptionPolicy: Invalid value: "Never": field is immutable"#,
            ]
        );
    }
}
