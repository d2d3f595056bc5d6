//! Lists that are merged item by item.

use serde_json::Value;

use super::{DIRECTIVE, Fields, added, merge as merge_fields, words};
use crate::apiserver::{patch::schema::Merge, status::ApiError};

/// Merges the items of a patch into a list.
pub(super) fn merge(
    strategy: Merge,
    below: &str,
    original: Vec<Value>,
    patch: Vec<Value>,
) -> Result<Vec<Value>, ApiError> {
    let Some(key) = strategy.key() else {
        if strategy == Merge::Set {
            let merged = distinct(original.iter().chain(&patch));
            return Ok(ordered(None, merged, &patch, &original));
        }
        return Ok(patch.into_iter().map(added).collect());
    };
    let mut merged = original.clone();
    let mut replaces = false;
    let mut items = Vec::with_capacity(patch.len());
    for item in patch {
        match item.get(DIRECTIVE).and_then(Value::as_str) {
            Some("delete") => {
                let value = item.get(key).ok_or_else(|| words::no_merge_key(&item, key))?;
                merged.retain(|old| old.get(key) != Some(value));
            }
            Some("replace") => replaces = true,
            Some("merge") | None => items.push(item),
            Some(other) => {
                let directive = Value::from(other);
                return Err(words::unknown_directive(&directive, item.as_object().unwrap_or(&Fields::new())));
            }
        }
    }
    if replaces {
        return Ok(items.into_iter().map(added).collect());
    }
    for item in &items {
        let value = item.get(key).ok_or_else(|| words::no_merge_key(item, key))?;
        match merged.iter_mut().find(|old| old.get(key) == Some(value)) {
            Some(old) => {
                if let (Value::Object(fields), Value::Object(patch)) = (old.take(), item.clone()) {
                    *old = Value::Object(merge_fields(below, fields, patch)?);
                }
            }
            None => merged.push(added(item.clone())),
        }
    }
    Ok(ordered(Some(key), merged, &items, &original))
}

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    kept
}

/// Orders a merged list: the items that `order` names as it names them, the rest as the server had them, and both woven so
/// that an item of the server stays before what it stood before.
pub(super) fn ordered(key: Option<&str>, merged: Vec<Value>, order: &[Value], server: &[Value]) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    };
    let position = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, mut rest): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| position(order, item).is_some());
    named.sort_by_key(|item| position(order, item));
    rest.sort_by_key(|item| position(server, item));
    let mut woven = Vec::with_capacity(named.len() + rest.len());
    let mut named = named.into_iter().peekable();
    for item in rest {
        let place = position(server, &item);
        while let Some(next) = named.peek() {
            let stays = matches!((place, position(server, next)), (Some(own), Some(other)) if own < other);
            if stays {
                break;
            }
            woven.extend(named.next());
        }
        woven.push(item);
    }
    woven.extend(named);
    woven
}
