//! Long answers were recorded by their beginning only.

use serde_json::Value;

const MARK: &str = "(truncated)";

/// The recorded body, and whether more items followed: of a body cut off within its list, the items that are whole.
pub(crate) fn repair(body: &Value) -> (Value, bool) {
    let Some(text) = body.get(MARK).and_then(Value::as_str) else { return (body.clone(), false) };
    let ends = text.match_indices(['}', '[']).map(|(at, _)| at + 1).rev();
    let whole = ends.filter_map(|end| serde_json::from_str(&format!("{}]}}", &text[..end])).ok()).next();
    (whole.unwrap_or(Value::Null), true)
}

#[test]
fn whole_items_of_a_cut_off_list_remain() {
    let cut = serde_json::json!({MARK: r#"{"kind": "L", "items": [{"a": {"b": 1}}, {"a": {"b": 2}, "c"#});
    assert_eq!(repair(&cut), (serde_json::json!({"kind": "L", "items": [{"a": {"b": 1}}]}), true));
}
