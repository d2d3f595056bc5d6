//! Lists that are merged item by item. Items are found by hash: a list may be as long as a body allows.

use std::collections::{HashMap, HashSet};

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
    let Directives { items, deleted, replaces } = directives(key, patch)?;
    if replaces {
        return Ok(items.into_iter().map(added).collect());
    }
    let kept = original.iter().filter(|item| identity(Some(key), item).is_none_or(|id| !deleted.contains(&id)));
    let mut merged: Vec<Value> = kept.cloned().collect();
    let mut places = positions(Some(key), &merged);
    for item in &items {
        let id = identity(Some(key), item).ok_or_else(|| words::no_merge_key(item, key))?;
        match places.get(&id).and_then(|place| merged.get_mut(*place)) {
            Some(old) => {
                if let (Value::Object(fields), Value::Object(patch)) = (old.take(), item.clone()) {
                    *old = Value::Object(merge_fields(below, fields, patch)?);
                }
            }
            None => {
                places.insert(id, merged.len());
                merged.push(added(item.clone()));
            }
        }
    }
    Ok(ordered(Some(key), merged, &items, &original))
}

/// The items of a patch, apart from those that only say what to do.
struct Directives {
    items: Vec<Value>,
    deleted: HashSet<String>,
    replaces: bool,
}

fn directives(key: &str, patch: Vec<Value>) -> Result<Directives, ApiError> {
    let mut found = Directives { items: Vec::with_capacity(patch.len()), deleted: HashSet::new(), replaces: false };
    for item in patch {
        match item.get(DIRECTIVE).and_then(Value::as_str) {
            Some("delete") => {
                let id = identity(Some(key), &item).ok_or_else(|| words::no_merge_key(&item, key))?;
                found.deleted.insert(id);
            }
            Some("replace") => found.replaces = true,
            Some("merge") | None => found.items.push(item),
            Some(other) => {
                let directive = Value::from(other);
                return Err(words::unknown_directive(&directive, item.as_object().unwrap_or(&Fields::new())));
            }
        }
    }
    Ok(found)
}

/// What tells an item apart: its merge key's value, or without a key its own. `None` for an item without the key.
pub(super) fn identity(key: Option<&str>, item: &Value) -> Option<String> {
    match key {
        Some(key) => item.get(key).map(Value::to_string),
        None => Some(item.to_string()),
    }
}

/// Where each item first stands.
fn positions(key: Option<&str>, list: &[Value]) -> HashMap<String, usize> {
    let mut places = HashMap::with_capacity(list.len());
    for (place, item) in list.iter().enumerate() {
        if let Some(id) = identity(key, item) {
            places.entry(id).or_insert(place);
        }
    }
    places
}

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(item.to_string())).cloned().collect()
}

/// Orders a merged list: the items that `order` names as it names them, the rest as the server had them, and both woven so
/// that an item of the server stays before what it stood before.
pub(super) fn ordered(key: Option<&str>, merged: Vec<Value>, order: &[Value], server: &[Value]) -> Vec<Value> {
    let order = positions(key, order);
    let server = positions(key, server);
    let mut named = Vec::new();
    let mut rest = Vec::new();
    for item in merged {
        let id = identity(key, &item);
        let stood = id.as_ref().and_then(|id| server.get(id)).copied();
        match id.as_ref().and_then(|id| order.get(id)) {
            Some(place) => named.push((*place, stood, item)),
            None => rest.push((stood, item)),
        }
    }
    named.sort_by_key(|(place, ..)| *place);
    rest.sort_by_key(|(stood, _)| *stood);
    let mut woven = Vec::with_capacity(named.len() + rest.len());
    let mut named = named.into_iter().peekable();
    for (own, item) in rest {
        let comes_first = |stood: Option<usize>| matches!((own, stood), (Some(own), Some(other)) if own < other);
        while let Some((.., next)) = named.next_if(|(_, stood, _)| !comes_first(*stood)) {
            woven.push(next);
        }
        woven.push(item);
    }
    woven.extend(named.map(|(.., item)| item));
    woven
}
