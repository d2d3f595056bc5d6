//! Strategic merge: a merge patch that merges lists by key and understands directives.
//! The rules are those of `k8s.io/apimachinery/pkg/util/strategicpatch`, down to the order of merged lists.

mod list;
mod words;

use std::collections::HashSet;

use serde_json::{Map, Value};

pub(super) use self::words::go as shown;
use super::schema;
use crate::apiserver::status::ApiError;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_ITEMS: &str = "$deleteFromPrimitiveList/";

type Fields = Map<String, Value>;

/// Merges `patch`, an object, into `current`, an object of the type `root`.
pub(super) fn apply(root: &str, current: Value, patch: Value) -> Result<Value, ApiError> {
    match (current, patch) {
        (Value::Object(current), Value::Object(patch)) => Ok(Value::Object(merge(root, current, patch)?)),
        (_, patch) => Ok(patch),
    }
}

/// Merges a patch into the fields of a type.
fn merge(ty: &str, mut original: Fields, mut patch: Fields) -> Result<Fields, ApiError> {
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) if directive == "merge" => {}
        Some(Value::String(directive)) if directive == "replace" => return Ok(without_directives(patch)),
        Some(Value::String(directive)) if directive == "delete" => return Ok(Fields::new()),
        Some(other) => return Err(words::unknown_directive(&other, &patch)),
    }
    retain_keys(&mut original, &mut patch)?;
    order_lists(ty, &mut original, &mut patch)?;
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_ITEMS) {
            delete_items(&mut original, field, value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let merged = match original.remove(&key) {
            None => added(value),
            Some(old) => merge_value(ty, &key, old, value)?,
        };
        original.insert(key, merged);
    }
    Ok(original)
}

fn merge_value(ty: &str, key: &str, old: Value, new: Value) -> Result<Value, ApiError> {
    let (strategy, below) = schema::field(ty, key);
    Ok(match (old, new) {
        (Value::Object(_), Value::Object(new)) if strategy == schema::Merge::Replace => {
            Value::Object(without_directives(new))
        }
        (Value::Object(old), Value::Object(new)) => Value::Object(merge(below, old, new)?),
        (Value::Array(old), Value::Array(new)) if strategy.merges_items() => {
            Value::Array(list::merge(strategy, below, old, new)?)
        }
        (_, new) => added(new),
    })
}

/// A value that the original does not have: without nulls and directives.
fn added(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_directives(fields)),
        Value::Array(items) => {
            let kept = items.into_iter().filter(|item| item.get(DIRECTIVE).is_none());
            Value::Array(kept.map(added).collect())
        }
        scalar => scalar,
    }
}

fn without_directives(fields: Fields) -> Fields {
    let kept = fields.into_iter().filter(|(key, value)| !is_directive(key) && !value.is_null());
    kept.map(|(key, value)| (key, added(value))).collect()
}

fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_ITEMS)
}

/// `$retainKeys`: the original loses all keys that are not named; the patch sets none but these.
fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<(), ApiError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let refused = || ApiError::bad_request("invalid patch format of retainKeys");
    let Value::Array(keys) = keys else { return Err(refused()) };
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let named = |key: &str| keys.contains(key);
    if patch.iter().any(|(key, value)| !value.is_null() && !is_directive(key) && !named(key)) {
        return Err(refused());
    }
    original.retain(|key, _| named(key));
    Ok(())
}

/// `$deleteFromPrimitiveList/x`: the list loses these scalars.
fn delete_items(original: &mut Fields, field: &str, items: Value) -> Result<(), ApiError> {
    let Value::Array(items) = items else {
        return Err(ApiError::bad_request("invalid patch format of primitive list"));
    };
    if let Some(Value::Array(list)) = original.get_mut(field) {
        let deleted: HashSet<String> = items.iter().map(Value::to_string).collect();
        list.retain(|item| !deleted.contains(&item.to_string()));
    }
    Ok(())
}

/// `$setElementOrder/x`: the list is merged and then ordered as named; items that only the server knows keep their place
/// among those.
fn order_lists(ty: &str, original: &mut Fields, patch: &mut Fields) -> Result<(), ApiError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let Some(Value::Array(order)) = patch.remove(&directive) else {
            return Err(ApiError::bad_request("invalid patch format of setElementOrder list"));
        };
        let field = directive.trim_start_matches(SET_ORDER);
        let (strategy, below) = schema::field(ty, field);
        let server = original.get(field).cloned();
        let merged = match (server.clone(), patch.get(field).cloned()) {
            (Some(Value::Array(old)), Some(Value::Array(new))) => list::merge(strategy, below, old, new)?,
            (Some(Value::Array(old)), None) => old,
            (None, Some(new @ Value::Array(_))) => match added(new) {
                Value::Array(items) => items,
                _ => continue,
            },
            // Nothing to order; the fields are merged as others are.
            _ => continue,
        };
        patch.remove(field);
        let server = server.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let ordered = list::ordered(strategy.key(), merged, &order, server);
        original.insert(field.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
