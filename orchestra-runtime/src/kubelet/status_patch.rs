//! A status change as the smallest strategic merge patch, so that what others write into the same status stays.

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

/// The patch that makes `old` into `new`; `None` if they are equal. It holds for the pod of this uid only.
pub(super) fn status_patch(uid: Option<&str>, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    if old == new {
        return None;
    }
    // A status has no values that cannot be written as JSON.
    let (Ok(old), Ok(new)) = (serde_json::to_value(old), serde_json::to_value(new)) else { return None };
    // An empty `lastState` and none are the same, and a server may keep either.
    let (Value::Object(old), Value::Object(mut new)) = (pruned(old), pruned(new)) else { return None };
    if old == new {
        return None;
    }
    let mut changes = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    new.retain(|name, value| old.get(name) != Some(value));
    for (name, value) in new {
        let value = match (name.as_str(), value) {
            // Merged by type: only what changed.
            ("conditions", Value::Array(conditions)) => {
                let before = old.get("conditions").and_then(Value::as_array);
                let is_new = |condition: &Value| before.is_none_or(|before| !before.contains(condition));
                Value::Array(conditions.into_iter().filter(is_new).map(without_gaps).collect())
            }
            (_, value) => value,
        };
        changes.insert(name, value);
    }
    Some(json!({ "metadata": { "uid": uid }, "status": changes }))
}

/// Without empty objects in objects.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(name, value)| (name, pruned(value)));
            Value::Object(kept.filter(|(_, value)| value.as_object().is_none_or(|object| !object.is_empty())).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(pruned).collect()),
        other => other,
    }
}

/// A condition's fields are merged too: one that is to go is null.
fn without_gaps(mut condition: Value) -> Value {
    if let Value::Object(fields) = &mut condition {
        for name in ["reason", "message"] {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_empty_state_is_no_change() {
        let container = |last: Value| {
            let state = json!({ "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "lastState": last });
            status(json!({ "containerStatuses": [state] }))
        };
        assert_eq!(status_patch(None, &container(json!({})), &container(Value::Null)), None);
    }

    #[test]
    fn only_what_changed_is_written() {
        let old = status(json!({ "phase": "Pending", "reason": "x", "podIP": "10.0.0.1", "conditions": [
            { "type": "Ready", "status": "False", "reason": "r" }, { "type": "PodScheduled", "status": "True" },
        ] }));
        let new = status(json!({ "phase": "Running", "podIP": "10.0.0.1", "conditions": [
            { "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" },
        ] }));
        assert_eq!(status_patch(Some("u"), &old, &old), None);
        let patch = status_patch(Some("u"), &old, &new).unwrap();
        assert_eq!(
            patch,
            json!({ "metadata": { "uid": "u" }, "status": { "phase": "Running", "reason": null, "conditions": [
                { "type": "Ready", "status": "True", "reason": null, "message": null },
            ] } })
        );
    }
}
