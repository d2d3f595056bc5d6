//! Lists of objects, which stand for their items.

use serde_json::{Value, json};

/// The object itself, or the items of a list, each with where it is in `object`. Items of a list of one kind need not say which it
/// is.
pub(super) fn objects(object: Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    take_apart(String::new(), object, &mut found);
    found
}

fn take_apart(path: String, mut object: Value, found: &mut Vec<(String, Value)>) {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if !is_list || !object["items"].is_array() {
        found.push((path, object));
        return;
    }
    let Value::Array(items) = object["items"].take() else { return };
    let dot = if path.is_empty() { "" } else { "." };
    for (index, mut item) in items.into_iter().enumerate() {
        complete(&mut item, &object);
        take_apart(format!("{path}{dot}items[{index}]"), item, found);
    }
}

/// Gives an item without a type that of its list's items.
fn complete(item: &mut Value, list: &Value) {
    let kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default();
    if let Value::Object(fields) = item
        && !kind.is_empty()
        && !fields.contains_key("kind")
    {
        fields.insert("kind".to_owned(), json!(kind));
        fields.insert("apiVersion".to_owned(), list["apiVersion"].clone());
    }
}
