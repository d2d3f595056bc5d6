//! Selectors as Go prints them in Kubernetes' events.

use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The selector in the words of Go's `%v`.
pub(super) fn of(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".to_owned() };
    let mut text = "&LabelSelector{MatchLabels:map[string]string{".to_owned();
    // Writing to a String cannot fail.
    for (key, value) in selector.match_labels.iter().flatten() {
        let _ = write!(text, "{key}: {value},");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for requirement in selector.match_expressions.iter().flatten() {
        let values = requirement.values.as_deref().unwrap_or_default().join(" ");
        let (key, operator) = (&requirement.key, &requirement.operator);
        let _ = write!(text, "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},");
    }
    text.push_str("},}");
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_printed_as_in_go() {
        let selector = json!({
            "matchLabels": {"a": "b", "c": "d"},
            "matchExpressions": [{"key": "e", "operator": "In", "values": ["f", "g"]}],
        });
        assert_eq!(
            of(Some(&serde_json::from_value(selector).unwrap())),
            "&LabelSelector{MatchLabels:map[string]string{a: b,c: d,},MatchExpressions:[]LabelSelectorRequirement{\
             LabelSelectorRequirement{Key:e,Operator:In,Values:[f g],},},}"
        );
        assert_eq!(of(None), "nil");
    }
}
