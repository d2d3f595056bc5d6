//! What changed between two states of an object, path by path.

use serde_json::{Map, Value};

/// The differences, a line each: `spec.replicas: 2 → 3`, `+ status.readyReplicas: 3`, `- status.conditions[Progressing]: {...}`.
/// Elements of a list are named by their `name`, `type` or `uid`, where they all have one of their own, and else by their place.
///
/// ```
/// # use serde_json::json;
/// let (old, new) = (json!({"spec": {"replicas": 2}}), json!({"spec": {"replicas": 3, "paused": true}}));
/// assert_eq!(orchestra_examples::diff::lines(&old, &new), ["+ spec.paused: true", "spec.replicas: 2 → 3"]);
/// ```
pub fn lines(old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", old, new, &mut lines);
    lines
}

fn compare(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(old), Value::Object(new)) => fields(path, old, new, lines),
        (Value::Array(old), Value::Array(new)) => elements(path, old, new, lines),
        (old, new) => lines.push(format!("{path}: {old} → {new}")),
    }
}

fn fields(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, lines: &mut Vec<String>) {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        either(&path, old.get(name), new.get(name), lines);
    }
}

fn elements(path: &str, old: &[Value], new: &[Value], lines: &mut Vec<String>) {
    let (old_names, new_names) = (names(old), names(new));
    let is_new = |name: &&String| !old_names.contains(name);
    for name in old_names.iter().chain(new_names.iter().filter(is_new)) {
        let find = |names: &[String], values: &[Value]| {
            names.iter().position(|other| other == name).and_then(|place| values.get(place)).cloned()
        };
        let (before, after) = (find(&old_names, old), find(&new_names, new));
        either(&format!("{path}[{name}]"), before.as_ref(), after.as_ref(), lines);
    }
}

fn either(path: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    match (old, new) {
        (Some(old), Some(new)) => compare(path, old, new, lines),
        (Some(old), None) => lines.push(format!("- {path}: {old}")),
        (None, Some(new)) => lines.push(format!("+ {path}: {new}")),
        (None, None) => {}
    }
}

/// A name for each element.
fn names(values: &[Value]) -> Vec<String> {
    let by = |key: &str| -> Option<Vec<String>> {
        let mut names: Vec<String> =
            values.iter().map(|value| Some(value[key].as_str()?.to_owned())).collect::<Option<_>>()?;
        let all = names.clone();
        names.sort_unstable();
        names.dedup();
        (names.len() == all.len()).then_some(all)
    };
    let by_place = || (0..values.len()).map(|place| place.to_string()).collect();
    ["name", "type", "uid"].into_iter().find_map(by).unwrap_or_else(by_place)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_are_compared_by_name() {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
        let old = json!({"conditions": [condition("Available", "False"), condition("Old", "True")]});
        let new = json!({"conditions": [condition("Progressing", "True"), condition("Available", "True")]});
        assert_eq!(
            lines(&old, &new),
            [
                r#"conditions[Available].status: "False" → "True""#,
                r#"- conditions[Old]: {"status":"True","type":"Old"}"#,
                r#"+ conditions[Progressing]: {"status":"True","type":"Progressing"}"#,
            ]
        );
    }

    #[test]
    fn elements_without_names_are_compared_by_place() {
        assert_eq!(lines(&json!([1, 2]), &json!([1, 3, 4])), ["[1]: 2 → 3", "+ [2]: 4"]);
        let twice = json!([{"name": "a", "n": 1}, {"name": "a", "n": 2}]);
        let other = json!([{"name": "a", "n": 1}, {"name": "a", "n": 3}]);
        assert_eq!(lines(&twice, &other), ["[1].n: 2 → 3"]);
    }

    #[test]
    fn another_type_is_another_value() {
        assert_eq!(lines(&json!({"a": {}}), &json!({"a": []})), ["a: {} → []"]);
        assert!(lines(&json!({"a": null}), &json!({"a": null})).is_empty());
    }
}
