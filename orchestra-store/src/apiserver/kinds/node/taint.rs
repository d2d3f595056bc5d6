//! Checks of a node's taints (`validateNodeTaints`).

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Node, Taint};
use serde_json::json;

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::qualified_name,
};

/// What is wrong with the taints at `path`.
pub(super) fn validate(node: &Node, path: &Path) -> Errors {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut errors = Errors::new();
    let mut seen = HashSet::new();
    for (index, taint) in taints.enumerate() {
        let path = path.index(index);
        let key = qualified_name::key(&taint.key);
        errors.extend(key.into_iter().map(|error| Error::invalid(&path.child("key"), &taint.key, error)));
        let value = taint.value.as_deref().unwrap_or_default();
        let wrong = qualified_name::label_value(value);
        if !wrong.is_empty() {
            errors.push(Error::invalid(&path.child("value"), value, wrong.join(";")));
        }
        match taint.effect.as_str() {
            "NoSchedule" | "PreferNoSchedule" | "NoExecute" => {}
            "" => errors.push(Error::required(&path.child("effect"), "")),
            effect => {
                let supported = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
                errors.push(Error::not_supported(&path.child("effect"), effect, &supported));
            }
        }
        if !seen.insert((&taint.key, &taint.effect)) {
            let mut error = Error::duplicate(&path, Shown::raw(shown(taint)));
            error.body.push_str(": taints must be unique by key and effect pair");
            errors.push(error);
        }
    }
    errors
}

/// A taint as Kubernetes' own type is printed.
fn shown(taint: &Taint) -> String {
    let [key, effect] = [&taint.key, &taint.effect].map(|text| json!(text));
    let (value, added) = (json!(taint.value.as_deref().unwrap_or_default()), json!(taint.time_added));
    format!(r#"{{"Key":{key},"Value":{value},"Effect":{effect},"TimeAdded":{added}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{object, texts};

    #[test]
    fn effects_are_known_and_pairs_unique() {
        let node = object(json!({"spec": {"taints": [
            {"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "Never"}]}}));
        assert_eq!(
            texts(&validate(&node, &Path::new("spec").child("taints"))),
            [
                r#"spec.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key and effect pair"#,
                r#"spec.taints[2].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#,
            ]
        );
    }
}
