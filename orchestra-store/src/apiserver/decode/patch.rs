//! What `fieldValidation` may object to in a patch itself: fields that occur twice, and fields of JSON patches' operations that mean
//! nothing.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    Findings,
    key::Key,
    place::{Place, ROOT, Segment},
    record::Record,
};
use crate::apiserver::patch::PatchType;

/// What the operations of a JSON patch consist of.
const OPERATION: [&str; 4] = ["op", "path", "from", "value"];

/// The findings in Kubernetes' words, in the order of the patch. One that cannot be read has none here.
pub fn patch_findings(kind: PatchType, patch: &[u8]) -> Findings {
    let record = Record::new(&[]);
    let part = if kind == PatchType::Json { Part::Operations } else { Part::Value };
    let mut json = serde_json::Deserializer::from_slice(patch);
    if (Walk { place: &ROOT, record: &record, part }).deserialize(&mut json).is_err() {
        return Findings::default();
    }
    let mut findings = record.into_findings();
    if kind == PatchType::Json {
        findings.0.iter_mut().for_each(|finding| finding.insert_str(0, "json patch "));
    }
    findings
}

/// What part of a patch a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The whole of a JSON patch.
    Operations,
    Operation,
    Value,
}

/// Goes through all values and keeps none.
#[derive(Clone, Copy)]
struct Walk<'p, 'de> {
    place: &'p Place<'p>,
    record: &'p Record<'de>,
    part: Part,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = self.record.keys_of_object();
        while let Some(key) = map.next_key_seed(Key)? {
            let place = self.place.at(Segment::Field(&key), "");
            if self.part == Part::Operation && !OPERATION.contains(&&*key) {
                self.record.note_unknown(&place);
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if !keys.insert(key.clone()) {
                self.record.note_duplicate(self.place, &key);
            }
            map.next_value_seed(Walk { place: &place, part: Part::Value, ..self })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let part = if self.part == Part::Operations { Part::Operation } else { Part::Value };
        for index in 0.. {
            let place = self.place.at(Segment::Index(index), "");
            if items.next_element_seed(Walk { place: &place, part, ..self })?.is_none() {
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
        assert_eq!(patch_findings(PatchType::Json, patch).0, expected);
    }

    #[test]
    fn merges_have_fields_once() {
        let patch = br#"{"spec": {"paused": true, "list": [{"a": 1, "a": 2, "a": 3}], "paused": false}}"#;
        let expected = [r#"duplicate field "spec.list[0].a""#, r#"duplicate field "spec.paused""#];
        assert_eq!(patch_findings(PatchType::StrategicMerge, patch).0, expected);
        assert_eq!(patch_findings(PatchType::Merge, b"{\"a\":"), Findings::default());
    }
}
