//! Lists and maps that a patch left empty. Go's types omit these when they are encoded, so a client of Kubernetes never sees
//! `finalizers: []` or `labels: {}`; an empty struct such as `emptyDir: {}` means something and stays.

use serde_json::Value;

/// The fields of the built-in types that are maps with any keys.
const MAPS: &[&str] = &[
    "allocatable",
    "annotations",
    "binaryData",
    "capacity",
    "data",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "requests",
    "stringData",
];

/// Removes what a built-in type omits.
pub(super) fn omit(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(omit),
        Value::Object(fields) => {
            fields.values_mut().for_each(omit);
            fields.retain(|name, field| match field {
                Value::Array(items) => !items.is_empty(),
                Value::Object(entries) => !entries.is_empty() || !MAPS.contains(&name.as_str()),
                _ => true,
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn structs_stay_and_maps_and_lists_go() {
        let mut value = json!({
            "metadata": {"labels": {}, "finalizers": []},
            "spec": {"volumes": [{"name": "a", "emptyDir": {}}]}
        });
        omit(&mut value);
        assert_eq!(value, json!({"metadata": {}, "spec": {"volumes": [{"name": "a", "emptyDir": {}}]}}));
    }
}
