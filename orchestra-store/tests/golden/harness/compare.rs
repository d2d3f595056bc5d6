//! Compares two answers and says where they differ.

use serde_json::Value;

use super::bindings::Bindings;

/// Where a field lies, what was recorded, and what came.
pub(crate) struct Difference {
    pub(crate) path: String,
    pub(crate) recorded: String,
    pub(crate) ours: String,
}

pub(crate) struct Comparison<'a> {
    pub(crate) bindings: &'a mut Bindings,
    /// The recording ends within the list of the answer.
    pub(crate) cut_off: bool,
    pub(crate) differences: Vec<Difference>,
}

impl Comparison<'_> {
    pub(crate) fn values(&mut self, path: &str, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                // An object's own names come first, so that whatever refers to them is understood.
                let keys = ["metadata", "name", "uid"].into_iter().filter(|key| recorded.contains_key(*key));
                let rest = recorded.keys().chain(ours.keys()).map(String::as_str);
                let mut seen = Vec::new();
                for key in keys.chain(rest) {
                    if seen.contains(&key) || key == "managedFields" {
                        continue;
                    }
                    seen.push(key);
                    let path = format!("{path}.{key}");
                    match (recorded.get(key), ours.get(key)) {
                        (Some(recorded), Some(ours)) => self.field(&path, key, recorded, ours),
                        (recorded, ours) => self.differ(&path, recorded, ours),
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => self.arrays(path, recorded, ours),
            (Value::String(a), Value::String(b)) => {
                if !(self.bindings.same(a, b) || is_time(a) && is_time(b) || is_age(a) && is_age(b)) {
                    self.differ(path, Some(recorded), Some(ours));
                }
            }
            _ if recorded == ours => {}
            _ => self.differ(path, Some(recorded), Some(ours)),
        }
    }

    fn field(&mut self, path: &str, key: &str, recorded: &Value, ours: &Value) {
        let same = match (key, recorded.as_str(), ours.as_str()) {
            ("resourceVersion", Some(a), Some(b)) if is_list(path) => self.bindings.list_version(a, b),
            ("resourceVersion", Some(a), Some(b)) => self.bindings.same_version(a, b),
            ("clusterIP", Some(a), Some(b)) if is_address(a) && is_address(b) => true,
            ("message", Some(a), Some(b)) => self.bindings.same(&essence(a), &essence(b)),
            _ => return self.values(path, recorded, ours),
        };
        if !same {
            self.differ(path, Some(recorded), Some(ours));
        }
    }

    /// Items with names are matched by them, so that one more or less is one difference; their order counts.
    fn arrays(&mut self, path: &str, recorded: &[Value], ours: &[Value]) {
        if let (Some(recorded), Some(ours)) = (named(recorded), named(ours)) {
            return self.items(path, &recorded, &ours);
        }
        for index in 0..recorded.len().max(ours.len()) {
            let path = format!("{path}[{index}]");
            match (recorded.get(index), ours.get(index)) {
                (Some(recorded), Some(ours)) => self.values(&path, recorded, ours),
                (None, Some(_)) if self.cut_off => {}
                (recorded, ours) => self.differ(&path, recorded, ours),
            }
        }
    }

    fn items(&mut self, path: &str, recorded: &[(String, &Value)], ours: &[(String, &Value)]) {
        // Of names that are the same, the order must be; random ones sort as it happens.
        let shared = |names: &[(String, &Value)], others: &[(String, &Value)]| -> Vec<String> {
            let names = names.iter().map(|(name, _)| name);
            names.filter(|name| others.iter().any(|(other, _)| other == *name)).cloned().collect()
        };
        let (order, our_order) = (shared(recorded, ours), shared(ours, recorded));
        if order != our_order {
            self.differ(&format!("{path}[order]"), Some(&order.into()), Some(&our_order.into()));
        }
        let mut left: Vec<&(String, &Value)> = ours.iter().collect();
        let mut open = Vec::new();
        for (name, value) in recorded {
            let translated = self.bindings.translate(name);
            match left.iter().position(|(ours, _)| *ours == translated) {
                Some(at) => self.values(&format!("{path}[{name}]"), value, left.remove(at).1),
                None => open.push((name, *value)),
            }
        }
        // Objects of random names are paired in the order of their creation, each with the one it resembles most.
        open.sort_by_key(|(_, value)| version(value));
        left.sort_by_key(|(_, value)| version(value));
        for (name, value) in open {
            let path = format!("{path}[{name}]");
            match self.nearest(name, value, &left) {
                Some(at) => self.values(&path, value, left.remove(at).1),
                None => self.differ(&path, Some(value), None),
            }
        }
        for (name, value) in left.iter().take(if self.cut_off { 0 } else { left.len() }) {
            self.differ(&format!("{path}[{name}]"), None, Some(value));
        }
    }

    /// Which of the candidates differs least from what was recorded, if any can be of its name.
    fn nearest(&self, name: &str, recorded: &Value, candidates: &[&(String, &Value)]) -> Option<usize> {
        let trials = candidates.iter().enumerate().filter_map(|(at, (candidate, ours))| {
            let mut bindings = self.bindings.clone();
            if !bindings.same(name, candidate) {
                return None;
            }
            let mut trial = Comparison { bindings: &mut bindings, cut_off: self.cut_off, differences: Vec::new() };
            trial.values("", recorded, ours);
            Some((trial.differences.len(), at))
        });
        trials.min().map(|(_, at)| at)
    }

    pub(crate) fn differ(&mut self, path: &str, recorded: Option<&Value>, ours: Option<&Value>) {
        let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let (recorded, ours) = (text(recorded), text(ours));
        self.differences.push(Difference { path: path.to_owned(), recorded, ours });
    }
}

/// The items by namespace and name; none if they have no names or share one.
fn named(items: &[Value]) -> Option<Vec<(String, &Value)>> {
    let mut named: Vec<(String, &Value)> = Vec::new();
    for item in items {
        let metadata = item.get("metadata").or_else(|| item.get("object")?.get("metadata"))?;
        let name = metadata.get("name")?.as_str()?;
        let namespace = metadata.get("namespace").and_then(Value::as_str);
        let name = namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
        if named.iter().any(|(known, _)| *known == name) {
            return None;
        }
        named.push((name, item));
    }
    Some(named)
}

fn version(item: &Value) -> Option<u64> {
    item["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

/// A list's version is the store's when it was read; every other one is an object's.
fn is_list(path: &str) -> bool {
    path.starts_with("list.metadata.")
}

fn is_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

/// As printed in a table: `5s`, `2m54s`, `3d`.
fn is_age(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.ends_with(['s', 'm', 'h', 'd', 'y'])
        && text.chars().all(|letter| letter.is_ascii_digit() || "smhdy".contains(letter))
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// A message without the store's version, and without the comparison of Go's structs in the words of Go's printer, with
/// which some end.
fn essence(text: &str) -> String {
    let text = text.split(", current: ").next().unwrap_or_default();
    text.split("\n@@ -").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
fn differences(recorded: Value, ours: Value) -> Vec<String> {
    let mut bindings = Bindings::new(true);
    let mut comparison = Comparison { bindings: &mut bindings, cut_off: false, differences: Vec::new() };
    comparison.values("body", &recorded, &ours);
    comparison
        .differences
        .into_iter()
        .map(|found| format!("{}: {} / {}", found.path, found.recorded, found.ours))
        .collect()
}

#[test]
fn what_differs_from_run_to_run_is_no_difference() {
    let object = |name: &str, uid: &str, time: &str, age: &str| {
        serde_json::json!({"metadata": {"name": name, "uid": uid, "creationTimestamp": time, "managedFields": [age]},
            "cells": [name, age], "message": format!("pod {name} waits")})
    };
    let recorded = object("web-bcdfg", "d32baf47-1f03-4a10-a05b-f01100e92838", "2026-11-24T07:56:48Z", "2m54s");
    let ours = object("web-xxxxx", "00000000-1f03-4a10-a05b-f01100e92838", "2027-01-01T00:00:00Z", "0s");
    assert_eq!(differences(recorded, ours), [""; 0]);
}

#[test]
fn a_missing_item_is_one_difference() {
    let item = |name: &str| serde_json::json!({"metadata": {"name": name}});
    let found = differences(vec![item("a"), item("b"), item("c")].into(), vec![item("a"), item("c")].into());
    assert_eq!(found, [r#"body[b]: {"metadata":{"name":"b"}} / nothing"#]);
}
