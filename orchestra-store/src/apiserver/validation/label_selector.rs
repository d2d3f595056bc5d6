//! Labels and selectors of labels (`apimachinery/pkg/apis/meta/v1/validation`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::qualified_name;
use crate::apiserver::field::{Error, Errors, Path};

const VALUES_REQUIRED: &str = "must be specified when `operator` is 'In' or 'NotIn'";
const VALUES_FORBIDDEN: &str = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";

/// What is wrong with a selector at `path`.
pub fn validate(selector: &LabelSelector, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(wanted) = &selector.match_labels {
        errors.extend(labels(wanted, &path.child("matchLabels")));
    }
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        errors.extend(expression(requirement, &path.child("matchExpressions").index(index)));
    }
    errors
}

/// What is wrong with labels at `path`: keys are named by the map, values by their entry.
pub fn labels(labels: &BTreeMap<String, String>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (name, value) in labels {
        errors.extend(key(name, path));
        let found = qualified_name::label_value(value).into_iter();
        errors.extend(found.map(|error| Error::invalid(&path.key(name), value, error)));
    }
    errors
}

/// What is wrong with the key of a label at `path`.
pub fn key(key: &str, path: &Path) -> Errors {
    qualified_name::key(key).into_iter().map(|error| Error::invalid(path, key, error)).collect()
}

fn expression(requirement: &LabelSelectorRequirement, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => errors.push(Error::required(&path.child("values"), VALUES_REQUIRED)),
        "In" | "NotIn" => {}
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.push(Error::forbidden(&path.child("values"), VALUES_FORBIDDEN));
        }
        "Exists" | "DoesNotExist" => {}
        operator => errors.push(Error::invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
    errors.extend(key(&requirement.key, &path.child("key")));
    for (index, value) in values.iter().enumerate() {
        let path = path.child("values").index(index);
        let found = qualified_name::label_value(value).into_iter();
        errors.extend(found.map(|error| Error::invalid(&path, value, error)));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators_say_whether_there_are_values() {
        let selector = json!({"matchExpressions": [
            {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["b"]}, {"key": "a", "operator": "Is"}]});
        let errors = validate(&serde_json::from_value(selector).unwrap(), &Path::new("spec").child("selector"));
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                r#"spec.selector.matchExpressions[2].operator: Invalid value: "Is": not a valid selector operator"#,
            ]
        );
    }
}
