//! Merges that read only what they touch: a change of an object's status need not take its spec apart.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::{Patched, empty};
use crate::apiserver::status::ApiError;

/// A field of the result.
#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a> {
    /// As it was.
    Same(&'a RawValue),
    Changed(Value),
}

/// Gives `merge` the fields of the object `current` that `patch`, an object, names, and puts its result back among the others.
/// With `omit_empty`, without the empty lists and maps that built-in types omit.
pub(super) fn change(
    current: &[u8],
    patch: Value,
    omit_empty: bool,
    merge: impl FnOnce(Value, Value) -> Result<Value, ApiError>,
) -> Result<Patched, ApiError> {
    let mut all: BTreeMap<String, &RawValue> = serde_json::from_slice(current).map_err(ApiError::internal)?;
    let mut touched = Map::new();
    for name in names(&patch, &all) {
        if let Some(raw) = all.remove(&name) {
            touched.insert(name, serde_json::from_str(raw.get()).map_err(ApiError::internal)?);
        }
    }
    let mut merged = merge(Value::Object(touched), patch)?;
    if omit_empty {
        empty::omit(&mut merged);
    }
    let Value::Object(merged) = merged else { return Patched::throughout(&merged) };
    let untouched = all.keys().cloned().collect();
    let mut result: BTreeMap<String, Field<'_>> = all.into_iter().map(|(name, raw)| (name, Field::Same(raw))).collect();
    result.extend(merged.into_iter().map(|(name, value)| (name, Field::Changed(value))));
    let mut json = Vec::with_capacity(current.len() + 1024);
    serde_json::to_writer(&mut json, &result).map_err(ApiError::internal)?;
    Ok(Patched { json, untouched })
}

/// The fields that the patch may touch: those it names, and all if it has a directive.
fn names(patch: &Value, all: &BTreeMap<String, &RawValue>) -> Vec<String> {
    let named = patch.as_object().into_iter().flat_map(Map::keys);
    if named.clone().any(|name| name.starts_with('$')) {
        return all.keys().cloned().collect();
    }
    named.cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(patch: Value) -> Value {
        let merge = |mut fields: Value, patch: Value| {
            json_patch::merge(&mut fields, &patch);
            Ok(fields)
        };
        let current = br#"{"kind":"X","spec":{"a":1,"list":[]},"status":{"b":2}}"#;
        serde_json::from_slice(&change(current, patch, true, merge).unwrap().json).unwrap()
    }

    #[test]
    fn what_the_patch_does_not_name_stays() {
        let patched = merged(json!({"status": {"c": 3}, "new": 1}));
        assert_eq!(patched, json!({"kind": "X", "spec": {"a": 1, "list": []}, "status": {"b": 2, "c": 3}, "new": 1}));
    }

    #[test]
    fn fields_are_removed_and_what_is_empty_is_omitted() {
        assert_eq!(merged(json!({"status": null, "spec": {"a": 5}})), json!({"kind": "X", "spec": {"a": 5}}));
    }

    #[test]
    fn a_directive_may_touch_all() {
        let all = |fields: Value, _| Ok(Value::from(fields.as_object().unwrap().len()));
        let count = change(br#"{"a":1,"b":2}"#, json!({"$patch": "replace"}), true, all).unwrap();
        assert_eq!(count.json, b"2");
    }
}
