//! What is said of patches that make no sense; values print as Go's `%v` prints them.

use serde_json::{Map, Value};

use crate::apiserver::status::ApiError;

pub(super) fn unknown_directive(directive: &Value, map: &Map<String, Value>) -> ApiError {
    let map = go(&Value::Object(map.clone()));
    ApiError::unclassified(500, format!("unknown patch type: {} in map: {map}", go(directive)))
}

pub(super) fn no_merge_key(item: &Value, key: &str) -> ApiError {
    ApiError::unclassified(500, format!("map: {} does not contain declared merge key: {key}", go(item)))
}

/// A value as messages show it.
pub(in crate::apiserver::patch) fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut entries: Vec<String> = fields.iter().map(|(key, value)| format!("{key}:{}", go(value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}
