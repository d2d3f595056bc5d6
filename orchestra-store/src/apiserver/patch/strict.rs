//! What `fieldValidation` may object to in a patch itself: fields that occur twice, and fields of JSON patches' operations that mean
//! nothing.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt,
};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::PatchType;
use crate::apiserver::decode::{Findings, Key};

/// What the operations of a JSON patch consist of.
const OPERATION: [&str; 4] = ["op", "path", "from", "value"];

/// The findings in Kubernetes' words, in the order of the patch. One that cannot be read has none here.
pub fn findings(kind: PatchType, patch: &[u8]) -> Findings {
    let walk = Walk { operations: kind == PatchType::Json, ..Walk::default() };
    let mut json = serde_json::Deserializer::from_slice(patch);
    match (&walk).deserialize(&mut json) {
        Ok(()) => walk.findings.into_inner(),
        Err(_) => Findings::default(),
    }
}

/// Goes through all values and keeps none.
#[derive(Default)]
struct Walk {
    operations: bool,
    path: RefCell<String>,
    depth: Cell<usize>,
    findings: RefCell<Findings>,
}

impl Walk {
    fn note(&self, what: &str, path: &str) {
        let whose = if self.operations { "json patch " } else { "" };
        self.findings.borrow_mut().note(format!("{whose}{what} field {path:?}"));
    }

    /// Does `then` with a field or an index at the end of the path.
    fn below<T>(&self, field: &str, index: Option<usize>, then: impl FnOnce() -> T) -> T {
        let length = self.path.borrow().len();
        {
            let mut path = self.path.borrow_mut();
            match index {
                Some(index) => path.push_str(&format!("[{index}]")),
                None if path.is_empty() => path.push_str(field),
                None => path.extend([".", field]),
            }
        }
        self.depth.set(self.depth.get() + 1);
        let result = then();
        self.depth.set(self.depth.get() - 1);
        self.path.borrow_mut().truncate(length);
        result
    }
}

impl<'de> DeserializeSeed<'de> for &Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let is_operation = self.operations && self.depth.get() == 1;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(Key)? {
            if is_operation && !OPERATION.contains(&&*key) {
                self.below(&key, None, || self.note("unknown", &self.path.borrow()));
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.below(&key, None, || {
                if seen.contains(&key) {
                    self.note("duplicate", &self.path.borrow());
                }
                map.next_value_seed(self)
            })?;
            seen.insert(key);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            if self.below("", Some(index), || items.next_element_seed(self))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_known_fields_once() {
        let patch = br#"[
            {"op": "add", "path": "/a", "value": {"k": 1, "k": 2}, "foo": {"x": 1, "x": 2}},
            {"op": "remove", "path": "/a", "path": "/b"}
        ]"#;
        let expected = [
            r#"json patch duplicate field "[0].value.k""#,
            r#"json patch unknown field "[0].foo""#,
            r#"json patch duplicate field "[1].path""#,
        ];
        assert_eq!(findings(PatchType::Json, patch).0, expected);
    }

    #[test]
    fn merges_have_fields_once() {
        let patch = br#"{"spec": {"paused": true, "list": [{"a": 1, "a": 2, "a": 3}], "paused": false}}"#;
        let expected = [r#"duplicate field "spec.list[0].a""#, r#"duplicate field "spec.paused""#];
        assert_eq!(findings(PatchType::StrategicMerge, patch).0, expected);
        assert_eq!(findings(PatchType::Merge, b"{\"a\":"), Findings::default());
    }
}
