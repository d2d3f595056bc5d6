//! JSON as it was written, wherever it stands.

use std::{fmt, iter};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapDeserializer},
    forward_to_deserialize_any,
};
use serde_json::{Value, value::RawValue};

/// A part of a JSON text as it is there. serde_json alone gives that where it reads the text itself, which it does not in an enum's content
/// that stands before its tag: a watch event has its object after its type where Kubernetes writes it, and JSON has no order. There it is
/// written again.
pub(super) fn json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<RawValue>, D::Error> {
    Box::<RawValue>::deserialize(Anywhere(deserializer))
}

/// What a raw value asks for is all that is answered.
struct Anywhere<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Anywhere<D> {
    type Error = D::Error;

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Raw { name, visitor })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

struct Raw<V> {
    name: &'static str,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Raw<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    /// From the text itself: a map with the name that was asked for and the text.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(map)
    }

    /// From what was read before.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let text = Value::deserialize(deserializer)?.to_string();
        self.visitor.visit_map(MapDeserializer::<_, D::Error>::new(iter::once((self.name, text))))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", content = "object")]
    enum Event {
        Added(#[serde(deserialize_with = "json")] Box<RawValue>),
    }

    #[test]
    fn it_is_the_same_before_the_tag_and_after_it() {
        for text in [
            r#"{"type":"Added","object":{"a":[1,"\u00e9",null]}}"#,
            r#"{"object":{"a":[1,"\u00e9",null]},"type":"Added"}"#,
        ] {
            let Event::Added(raw) = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::from_str::<Value>(raw.get()).unwrap(), serde_json::json!({ "a": [1, "é", null] }));
        }
    }

    #[test]
    fn what_is_read_is_not_written_anew() {
        let Event::Added(raw) = serde_json::from_str(r#"{"type":"Added","object":{ "b" : 1e0, "a":2 }}"#).unwrap();
        assert_eq!(raw.get(), r#"{ "b" : 1e0, "a":2 }"#);
        assert_eq!(json(serde_json::json!({ "a": 1 }).into_deserializer()).unwrap().get(), r#"{"a":1}"#);
    }
}
