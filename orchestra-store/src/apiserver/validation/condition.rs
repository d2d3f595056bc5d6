//! Status conditions (`ValidateConditions` of `k8s.io/apimachinery/pkg/apis/meta/v1/validation`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::qualified_name;
use crate::apiserver::field::{Error, Errors, Path};

const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const MAX_REASON: usize = 1024;
const MAX_MESSAGE: usize = 32 * 1024;
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// What is wrong with `conditions`. A time that is not told counts as the beginning of time: it is not missed.
pub fn validate(conditions: &[Condition], path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        if conditions.iter().take(index).any(|other| other.type_ == condition.type_) {
            errors.push(Error::duplicate(&path.child("type"), &condition.type_));
        }
        errors.extend(one(condition, &path));
    }
    errors
}

fn one(condition: &Condition, path: &Path) -> Errors {
    let at = path.child("type");
    let mut errors: Errors = qualified_name::key(&condition.type_)
        .into_iter()
        .map(|why| Error::invalid(&at, &condition.type_, why))
        .collect();
    if !STATUSES.contains(&&*condition.status) {
        errors.push(Error::not_supported(&path.child("status"), &condition.status, &STATUSES));
    }
    if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
        let at = path.child("observedGeneration");
        errors.push(Error::invalid(&at, generation, "must be greater than or equal to zero"));
    }
    let at = path.child("reason");
    match &*condition.reason {
        "" => errors.push(Error::required(&at, "must be set")),
        reason if !is_reason(reason) => errors.push(Error::invalid(&at, reason, REASON)),
        reason if reason.len() > MAX_REASON => errors.push(Error::too_long(&at, MAX_REASON)),
        _ => {}
    }
    if condition.message.len() > MAX_MESSAGE {
        errors.push(Error::too_long(&path.child("message"), MAX_MESSAGE));
    }
    errors
}

fn is_reason(reason: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b':');
    reason.starts_with(|first: char| first.is_ascii_alphabetic())
        && reason.bytes().all(is_inner)
        && !reason.ends_with([',', ':'])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn errors(changes: Value) -> Vec<String> {
        let mut condition = json!({
            "type": "Ready", "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        condition.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let condition: Condition = serde_json::from_value(condition).unwrap();
        validate(&[condition], &Path::new("conditions")).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_field_has_its_rule() {
        for good in [json!({}), json!({ "reason": "A:b,c_" }), json!({ "observedGeneration": 0 })] {
            assert_eq!(errors(good), Vec::<String>::new());
        }
        let cases = [
            (json!({ "type": "a b" }), "conditions[0].type: Invalid value: \"a b\""),
            (json!({ "status": "" }), "conditions[0].status: Unsupported value: \"\""),
            (json!({ "observedGeneration": -1 }), "conditions[0].observedGeneration: Invalid value: -1"),
            (json!({ "reason": "1" }), "conditions[0].reason: Invalid value: \"1\""),
            (json!({ "reason": "A:" }), "conditions[0].reason: Invalid value: \"A:\""),
            (json!({ "message": "x".repeat(MAX_MESSAGE + 1) }), "conditions[0].message: Too long"),
        ];
        for (changes, expected) in cases {
            assert!(errors(changes.clone())[0].starts_with(expected), "{:?}", errors(changes));
        }
    }

    #[test]
    fn a_type_occurs_once() {
        let condition: Condition = serde_json::from_value(json!({
            "type": "Ready", "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }))
        .unwrap();
        let found = validate(&[condition.clone(), condition], &Path::new("conditions"));
        assert_eq!(found[0].to_string(), "conditions[1].type: Duplicate value: \"Ready\"");
    }
}
