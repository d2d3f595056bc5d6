//! The format of recordings: one JSON object a line, the first names the scenario.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Deserialize)]
pub(crate) struct Step {
    pub(crate) step: u32,
    pub(crate) request: Request,
    pub(crate) response: Response,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) accept: Option<String>,
    pub(crate) content_type: Option<String>,
    /// An object is sent as JSON, a string as it is.
    #[serde(default, deserialize_with = "as_sent")]
    pub(crate) body: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) code: u16,
    #[serde(rename = "Content-Type")]
    pub(crate) content_type: Option<String>,
    /// One header, or all of them.
    #[serde(rename = "Warning")]
    pub(crate) warning: Option<Value>,
    #[serde(rename = "Retry-After")]
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Option<Value>,
    pub(crate) events: Option<Vec<Value>>,
}

pub(crate) fn parse(name: &str, text: &str) -> Result<Scenario, String> {
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    let step = |(index, line): (usize, &str)| {
        serde_json::from_str::<Step>(line).map_err(|error| format!("line {}: {error}", index + 1))
    };
    Ok(Scenario { name: name.to_owned(), steps: lines.map(step).collect::<Result<_, _>>()? })
}

fn as_sent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let body = Option::<Ordered>::deserialize(deserializer)?;
    Ok(body.map(|Ordered(json)| serde_json::from_str::<String>(&json).unwrap_or(json)))
}

/// JSON text whose fields have the order in which they were sent: messages about several fields follow it.
struct Ordered(String);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InOrder)
    }
}

struct InOrder;

impl<'de> de::Visitor<'de> for InOrder {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
        Ok(Ordered(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered(value.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
        Ok(Ordered(Value::from(text).to_string()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut texts = Vec::new();
        while let Some(Ordered(item)) = items.next_element()? {
            texts.push(item);
        }
        Ok(Ordered(format!("[{}]", texts.join(","))))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut fields: A) -> Result<Ordered, A::Error> {
        let mut texts = Vec::new();
        while let Some((key, Ordered(value))) = fields.next_entry::<String, Ordered>()? {
            texts.push(format!("{}:{value}", Value::from(key)));
        }
        Ok(Ordered(format!("{{{}}}", texts.join(","))))
    }
}

#[test]
fn a_body_keeps_the_order_of_its_fields() {
    let line = r#"{"method":"POST","path":"/","body":{"b":[1,null,"x\"y"],"a":{}}}"#;
    let request: Request = serde_json::from_str(line).unwrap();
    assert_eq!(request.body.as_deref(), Some(r#"{"b":[1,null,"x\"y"],"a":{}}"#));
}

#[test]
fn a_line_that_is_no_step_is_named() {
    let error = parse("s", "{\"scenario\":\"s\"}\n{\"step\":1}\n").err();
    assert!(error.is_some_and(|error| error.starts_with("line 2: missing field `request`")));
}
