//! The content of one field as JSON.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Object, ProtobufError, message,
    schema::{Field, messages},
    wire::{Reader, Wire, text},
};

/// Reads one occurrence of `field`.
pub(super) fn read(field: &Field, wire: Wire<'_>) -> Result<Value, ProtobufError> {
    let invalid = || ProtobufError::Value(field.name.to_owned());
    Ok(match (field.kind, wire) {
        // Negative numbers are sent as 64 bits of two's complement.
        ("int", Wire::Varint(number)) => number.cast_signed().into(),
        ("bool", Wire::Varint(number)) => (number != 0).into(),
        ("string", Wire::Bytes(bytes)) => text(bytes, field.name)?.into(),
        ("bytes", Wire::Bytes(bytes)) => BASE64_STANDARD.encode(bytes).into(),
        ("Quantity", Wire::Bytes(bytes)) => match parts(bytes)?.text {
            Some(quantity) => text(quantity, field.name)?.into(),
            None => "0".into(),
        },
        ("IntOrString", Wire::Bytes(bytes)) => match parts(bytes)? {
            Parts { first: 1, third, .. } => text(third.unwrap_or_default(), field.name)?.into(),
            Parts { second, .. } => second.into(),
        },
        // Go's zero time.
        ("Time" | "MicroTime", Wire::Bytes([])) => Value::Null,
        (kind @ ("Time" | "MicroTime"), Wire::Bytes(bytes)) => {
            let Parts { first, second, .. } = parts(bytes)?;
            let nanos = i32::try_from(second).map_err(|_| invalid())?;
            let time = Timestamp::new(first, nanos).map_err(|_| invalid())?;
            let written = if kind == "Time" { format!("{time:.0}") } else { format!("{time:.6}") };
            written.into()
        }
        ("FieldsV1" | "RawExtension", Wire::Bytes(bytes)) => {
            serde_json::from_slice(parts(bytes)?.text.unwrap_or(b"null")).map_err(|_| invalid())?
        }
        ("ExtraValue", Wire::Bytes(bytes)) => {
            let (mut reader, mut values) = (Reader(bytes), Vec::new());
            while let Some((number, wire)) = reader.next()? {
                if let (1, Wire::Bytes(bytes)) = (number, wire) {
                    values.push(text(bytes, field.name)?.into());
                }
            }
            Value::Array(values)
        }
        (name, Wire::Bytes(bytes)) => {
            let fields = messages().get(name).ok_or_else(|| ProtobufError::WrongWireType(field.name.to_owned()))?;
            let mut object = Object::new();
            message(fields, bytes, &mut object)?;
            object.into()
        }
        _ => return Err(ProtobufError::WrongWireType(field.name.to_owned())),
    })
}

/// Reads an entry of a map.
pub(super) fn pair(field: &Field, bytes: &[u8]) -> Result<(String, Value), ProtobufError> {
    let (mut reader, mut key, mut value) = (Reader(bytes), String::new(), None);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = text(bytes, field.name)?,
            (2, wire) => value = Some(read(field, wire)?),
            _ => {}
        }
    }
    let value = value.map_or_else(|| read(field, Wire::Bytes(&[])), Ok)?;
    Ok((key, value))
}

/// Whether `value` is what Go's clients send for a field that is not set.
pub(super) fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// The fields of the small messages that have a form of their own in JSON.
#[derive(Default)]
struct Parts<'a> {
    first: i64,
    second: i64,
    text: Option<&'a [u8]>,
    third: Option<&'a [u8]>,
}

fn parts(bytes: &[u8]) -> Result<Parts<'_>, ProtobufError> {
    let (mut reader, mut parts) = (Reader(bytes), Parts::default());
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(number)) => parts.first = number.cast_signed(),
            (1, Wire::Bytes(bytes)) => parts.text = Some(bytes),
            (2, Wire::Varint(number)) => parts.second = number.cast_signed(),
            (3, Wire::Bytes(bytes)) => parts.third = Some(bytes),
            _ => {}
        }
    }
    Ok(parts)
}
