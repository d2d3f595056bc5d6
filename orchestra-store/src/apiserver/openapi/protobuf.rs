//! The Swagger document in protobuf (`openapi.v2.Document` of gnostic-models), the only form in which kubectl reads it: for
//! manifests that it checks by itself, as lists, and to tell that a kind is not known.

use serde_json::Value;

/// A message: its fields by their names in JSON, and the field of all names that begin with `x-`.
struct Shape {
    fields: &'static [(&'static str, u64, Form)],
    extensions: u64,
}

/// How a JSON value is written.
enum Form {
    Text,
    Flag,
    Integer,
    Number,
    /// Any value, as YAML, which JSON is too.
    Any,
    Message(&'static Shape),
    /// A list's items one by one.
    Each(&'static Form),
    /// A message that only holds the value, in this field.
    Within(u64, &'static Form),
    /// A message that holds the entries of a map, each with a name and a value, in this field.
    Map(u64, &'static Form),
    /// `additionalProperties`.
    SchemaOrFlag,
    /// A parameter, whose message depends on where it is given.
    Parameter,
}

use Form::{Any, Each, Flag, Integer, Map, Message, Number, Parameter as OneParameter, SchemaOrFlag, Text, Within};

static DOCUMENT: Shape = Shape {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, Message(&INFO)),
        ("paths", 8, Map(2, &Message(&PATH))),
        ("definitions", 9, Map(1, &Message(&SCHEMA))),
    ],
    extensions: 16,
};

static INFO: Shape = Shape { fields: &[("title", 1, Text), ("version", 2, Text)], extensions: 7 };

static PATH: Shape = Shape {
    fields: &[
        ("get", 2, Message(&OPERATION)),
        ("put", 3, Message(&OPERATION)),
        ("post", 4, Message(&OPERATION)),
        ("delete", 5, Message(&OPERATION)),
        ("patch", 8, Message(&OPERATION)),
        ("parameters", 9, Each(&OneParameter)),
    ],
    extensions: 10,
};

static OPERATION: Shape = Shape {
    fields: &[
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Each(&Text)),
        ("consumes", 7, Each(&Text)),
        ("parameters", 8, Each(&OneParameter)),
        ("responses", 9, Map(1, &Within(1, &Message(&RESPONSE)))),
    ],
    extensions: 13,
};

static RESPONSE: Shape =
    Shape { fields: &[("description", 1, Text), ("schema", 2, Within(1, &Message(&SCHEMA)))], extensions: 5 };

static IN_BODY: Shape = Shape {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, Message(&SCHEMA)),
    ],
    extensions: 6,
};

static IN_QUERY: Shape = Shape {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("uniqueItems", 20, Flag),
    ],
    extensions: 23,
};

static IN_PATH: Shape = Shape {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("uniqueItems", 19, Flag),
    ],
    extensions: 22,
};

static SCHEMA: Shape = Shape {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("multipleOf", 6, Number),
        ("maximum", 7, Number),
        ("exclusiveMaximum", 8, Flag),
        ("minimum", 9, Number),
        ("exclusiveMinimum", 10, Flag),
        ("maxLength", 11, Integer),
        ("minLength", 12, Integer),
        ("pattern", 13, Text),
        ("maxItems", 14, Integer),
        ("minItems", 15, Integer),
        ("uniqueItems", 16, Flag),
        ("maxProperties", 17, Integer),
        ("minProperties", 18, Integer),
        ("required", 19, Each(&Text)),
        ("enum", 20, Each(&Any)),
        ("additionalProperties", 21, SchemaOrFlag),
        ("type", 22, Within(1, &Each(&Text))),
        ("items", 23, Within(1, &Message(&SCHEMA))),
        ("allOf", 24, Each(&Message(&SCHEMA))),
        ("properties", 25, Map(1, &Message(&SCHEMA))),
    ],
    extensions: 31,
};

static ONE_SCHEMA: Form = Within(1, &Message(&SCHEMA));
static BODY_PARAMETER: Form = Within(1, &Within(1, &Message(&IN_BODY)));
static QUERY_PARAMETER: Form = Within(1, &Within(2, &Within(3, &Message(&IN_QUERY))));
static PATH_PARAMETER: Form = Within(1, &Within(2, &Within(4, &Message(&IN_PATH))));

/// A document as JSON has it, in protobuf. What protobuf has no field for is left out.
pub(super) fn document(json: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    message(&DOCUMENT, json, &mut bytes);
    bytes
}

fn message(shape: &Shape, value: &Value, into: &mut Vec<u8>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        if let Some((_, number, form)) = shape.fields.iter().find(|(known, ..)| known == name) {
            write(*number, form, value, into);
        } else if name.starts_with("x-") {
            entry(shape.extensions, name, &Any, value, into);
        }
    }
}

fn write(number: u64, form: &Form, value: &Value, into: &mut Vec<u8>) {
    match form {
        Text => bytes(number, value.as_str().unwrap_or_default().as_bytes(), into),
        Flag => integer(number, value.as_bool().unwrap_or_default().into(), into),
        Integer => integer(number, value.as_u64().unwrap_or_default(), into),
        Number => {
            varint(number << 3 | 1, into);
            into.extend_from_slice(&value.as_f64().unwrap_or_default().to_le_bytes());
        }
        Any => nested(number, into, |any| bytes(2, value.to_string().as_bytes(), any)),
        Message(shape) => nested(number, into, |inner| message(shape, value, inner)),
        Each(form) => match value {
            Value::Array(items) => items.iter().for_each(|item| write(number, form, item, into)),
            value => write(number, form, value, into),
        },
        Within(inner, form) => nested(number, into, |only| write(*inner, form, value, only)),
        Map(inner, form) => nested(number, into, |map| {
            for (name, value) in value.as_object().into_iter().flatten() {
                entry(*inner, name, form, value, map);
            }
        }),
        SchemaOrFlag if value.is_boolean() => write(number, &Within(2, &Flag), value, into),
        SchemaOrFlag => write(number, &ONE_SCHEMA, value, into),
        OneParameter => {
            let form = match value["in"].as_str() {
                Some("body") => &BODY_PARAMETER,
                Some("path") => &PATH_PARAMETER,
                _ => &QUERY_PARAMETER,
            };
            write(number, form, value, into);
        }
    }
}

/// A name with its value.
fn entry(number: u64, name: &str, form: &Form, value: &Value, into: &mut Vec<u8>) {
    nested(number, into, |named| {
        bytes(1, name.as_bytes(), named);
        write(2, form, value, named);
    });
}

fn nested(number: u64, into: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    fill(&mut inner);
    bytes(number, &inner, into);
}

fn bytes(number: u64, bytes: &[u8], into: &mut Vec<u8>) {
    varint(number << 3 | 2, into);
    varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

fn integer(number: u64, value: u64, into: &mut Vec<u8>) {
    varint(number << 3, into);
    varint(value, into);
}

/// Seven bits a byte, the lowest first, the high bit set on all but the last.
fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_have_the_numbers_of_gnostic() {
        let json = json!({
            "swagger": "2.0",
            "definitions": {"A": {"type": "object", "x-y": [1], "additionalProperties": true}},
        });
        let schema = [
            // additionalProperties: boolean
            &[0xaa, 0x01, 2, 0x10, 1][..],
            // type: value
            &[0xb2, 0x01, 8, 0x0a, 6][..],
            b"object",
            // vendor_extension: name, value: yaml
            &[0xfa, 0x01, 12, 0x0a, 3][..],
            b"x-y",
            &[0x12, 5, 0x12, 3][..],
            b"[1]",
        ]
        .concat();
        let named = [&[0x0a, 1][..], b"A", &[0x12, schema.len() as u8][..], &schema].concat();
        let definitions = [&[0x0a, named.len() as u8][..], &named].concat();
        let expected = [&[0x4a, definitions.len() as u8][..], &definitions, &[0x0a, 3][..], b"2.0"].concat();
        assert_eq!(document(&json), expected);
    }
}
