//! JSON patches, within the bounds that Kubernetes sets to them.

use json_patch::{Patch, PatchOperation, patch_unsafe};
use serde_json::{Map, Value, json};

use crate::apiserver::{decode::syntax, status::ApiError};

const MAX_OPERATIONS: usize = 10_000;
/// All `copy` operations of a patch may copy this many bytes.
const MAX_COPIED: usize = 3 << 20;
/// All `move` operations of a patch may move this many bytes; each is looked through for its depth.
const MAX_MOVED: usize = 64 << 20;
/// How deeply an operation may nest values, so that no patch exhausts the stack of who reads its result.
const MAX_DEPTH: usize = 256;

/// Applies a JSON patch.
pub(super) fn apply(current: Value, patch: &[u8]) -> Result<Value, ApiError> {
    let bad = |why: String| ApiError::bad_request(format!("error decoding patch: {why}"));
    let operations = match parse(patch).map_err(bad)? {
        Value::Array(operations) => operations,
        Value::Null => Vec::new(),
        other => return Err(bad(mismatch(&other, "Go value of type []handlers.jsonPatchOp"))),
    };
    if let Some(why) = operations.iter().find_map(unlike_an_operation) {
        return Err(bad(why));
    }
    if operations.len() > MAX_OPERATIONS {
        let count = operations.len();
        let message = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}");
        return Err(ApiError::too_large(message));
    }
    let Patch(operations) = serde_json::from_value(Value::Array(operations)).map_err(|_| ApiError::unprocessable())?;
    let mut patched = current;
    let mut budget = Budget { copied: MAX_COPIED, moved: MAX_MOVED };
    for operation in &operations {
        if !is_bounded(operation, &patched, &mut budget) {
            return Err(ApiError::unprocessable());
        }
        if tests_for_nothing(operation, &patched) {
            continue;
        }
        // What a failed operation leaves behind is dropped with the tree.
        patch_unsafe(&mut patched, std::slice::from_ref(operation)).map_err(|_| ApiError::unprocessable())?;
    }
    Ok(patched)
}

/// Why a value is no operation, if it is of the wrong type.
fn unlike_an_operation(value: &Value) -> Option<String> {
    let Value::Object(fields) = value else { return Some(mismatch(value, "Go value of type handlers.jsonPatchOp")) };
    let texts = ["op", "path", "from"].into_iter().filter_map(|name| Some((name, fields.get(name)?)));
    let (name, found) = texts.into_iter().find(|(_, found)| !(found.is_string() || found.is_null()))?;
    Some(mismatch(found, &format!("Go struct field jsonPatchOp.{name} of type string")))
}

/// How many bytes a patch may still copy and move.
struct Budget {
    copied: usize,
    moved: usize,
}

fn is_bounded(operation: &PatchOperation, document: &Value, budget: &mut Budget) -> bool {
    let path = operation.path();
    let (from, left) = match operation {
        PatchOperation::Copy(copy) => (&copy.from, &mut budget.copied),
        PatchOperation::Move(moved) => (&moved.from, &mut budget.moved),
        _ => return path.tokens().count() <= MAX_DEPTH,
    };
    // A path that leads nowhere fails by itself.
    let Ok(value) = from.resolve(document) else { return true };
    let size = serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len());
    let Some(rest) = left.checked_sub(size) else { return false };
    *left = rest;
    path.tokens().count() + depth(value, MAX_DEPTH + 1) <= MAX_DEPTH
}

/// Whether an operation tests that a field is `null` that is not there at all. To Kubernetes' patch library (evanphx/json-patch) that
/// is the same, and clients count on it to add a list only while there is none, such as the first finalizer; to RFC 6902 it is a
/// failed test.
fn tests_for_nothing(operation: &PatchOperation, document: &Value) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let Some((parent, field)) = test.path.split_back() else { return false };
    let is_absent = |fields: &Map<String, Value>| !fields.contains_key(field.decoded().as_ref());
    test.value.is_null() && parent.resolve(document).is_ok_and(|parent| parent.as_object().is_some_and(is_absent))
}

/// How deeply a value is nested, at most `limit`.
fn depth(value: &Value, limit: usize) -> usize {
    if limit == 0 {
        return 0;
    }
    let below = match value {
        Value::Array(items) => items.iter().map(|item| depth(item, limit - 1)).max(),
        Value::Object(fields) => fields.values().map(|field| depth(field, limit - 1)).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}

/// A patch that must be an object; `null` is an empty one, as Go reads it.
pub(super) fn object(patch: &[u8]) -> Result<Value, String> {
    match parse(patch)? {
        value @ Value::Object(_) => Ok(value),
        Value::Null => Ok(json!({})),
        other => Err(mismatch(&other, "Go value of type map[string]interface {}")),
    }
}

fn parse(patch: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(patch).map_err(|_| {
        // What is JSON nevertheless is nested more deeply than this server reads.
        syntax::error(patch).unwrap_or_else(|| "exceeded max depth".to_owned())
    })
}

fn mismatch(found: &Value, expected: &str) -> String {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(patch: &Value) -> Result<Value, ApiError> {
        apply(json!({"spec": {"replicas": 1}}), patch.to_string().as_bytes())
    }

    #[test]
    fn operations_apply_in_order() {
        let patch = json!([
            {"op": "replace", "path": "/spec/replicas", "value": 0},
            {"op": "add", "path": "/labels", "value": {"q": "z"}},
            {"op": "copy", "from": "/labels/q", "path": "/copied"}
        ]);
        let expected = json!({"spec": {"replicas": 0}, "labels": {"q": "z"}, "copied": "z"});
        assert_eq!(patched(&patch).unwrap(), expected);
    }

    #[test]
    fn a_missing_field_tests_as_null() {
        let patch = json!([
            {"op": "test", "path": "/spec/finalizers", "value": null},
            {"op": "add", "path": "/spec/finalizers", "value": ["a/b"]}
        ]);
        assert_eq!(patched(&patch).unwrap(), json!({"spec": {"replicas": 1, "finalizers": ["a/b"]}}));
    }

    #[test]
    fn what_does_not_apply_is_unprocessable() {
        for operation in [
            json!({"op": "test", "path": "/spec/replicas", "value": 9}),
            json!({"op": "test", "path": "/spec/replicas", "value": null}),
            json!({"op": "test", "path": "/nothing/below", "value": null}),
            json!({"op": "test", "path": "/spec/nothing", "value": 1}),
            json!({"op": "remove", "path": "/spec/nothing"}),
            json!({"op": "fly", "path": "/"}),
        ] {
            assert_eq!(patched(&json!([operation])).unwrap_err(), ApiError::unprocessable());
        }
    }

    #[test]
    fn what_is_no_patch_is_a_bad_request() {
        let error = apply(json!({}), b"[").unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (400, "error decoding patch: unexpected end of JSON input")
        );
        assert_eq!(apply(json!({}), b"{}").unwrap_err().code(), 400);
        let error = apply(json!({}), br#"[{"op": 5, "path": "/a"}]"#).unwrap_err();
        let why = "json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string";
        assert_eq!((error.code(), error.to_string()), (400, format!("error decoding patch: {why}")));
        let many = Value::Array(vec![json!({"op": "add", "path": "/a", "value": 1}); MAX_OPERATIONS + 1]);
        assert_eq!(patched(&many).unwrap_err().code(), 413);
    }

    #[test]
    fn copies_cannot_grow_without_bound() {
        let mut operations = vec![json!({"op": "add", "path": "/a", "value": ["0123456789"]})];
        operations.extend(vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); 9_000]);
        assert_eq!(patched(&Value::Array(operations)).unwrap_err(), ApiError::unprocessable());
    }
}
