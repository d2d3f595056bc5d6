//! Bodies in `application/vnd.kubernetes.protobuf`, which typed clients such as `kubectl create` send, as JSON.
//!
//! A body is four bytes of magic and a `runtime.Unknown` message: the type, and the object in a message of its own. Protobuf
//! messages do not tell the names and types of their fields; the table of [`schema`] does. Answers are JSON, which every such
//! client accepts.

mod schema;
#[cfg(test)]
mod tests;
mod value;
mod wire;

use serde_json::Value;

use self::{
    schema::{Field, Repeat, messages},
    wire::{Reader, Wire},
};
use super::ApiError;

/// What a body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// A JSON object, as `serde_json` holds it.
type Object = serde_json::Map<String, Value>;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum ProtobufError {
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    #[error("unexpected EOF")]
    CutOff,
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: wrong wireType for field {0}")]
    WrongWireType(String),
    #[error("field {0} is not valid")]
    Value(String),
    #[error("no kind {kind:?} is registered for version {version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"")]
    Kind { kind: String, version: String },
}

/// The object of `body` as JSON.
pub(super) fn to_json(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let object = object(body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    serde_json::to_vec(&object).map_err(ApiError::internal)
}

fn object(body: &[u8]) -> Result<Object, ProtobufError> {
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut envelope = Reader(body.strip_prefix(MAGIC).ok_or(ProtobufError::Prefix)?);
    while let Some((number, wire)) = envelope.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => (version, kind) = type_meta(bytes)?,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = if version.starts_with("events.k8s.io/") { format!("events.{kind}") } else { kind.clone() };
    let Some(fields) = messages().get(name.as_str()) else { return Err(ProtobufError::Kind { kind, version }) };
    let mut object = Object::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), version.into());
    message(fields, raw, &mut object)?;
    Ok(object)
}

fn type_meta(bytes: &[u8]) -> Result<(String, String), ProtobufError> {
    let (mut reader, mut found) = (Reader(bytes), (String::new(), String::new()));
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => found.0 = wire::text(bytes, "apiVersion")?,
            (2, Wire::Bytes(bytes)) => found.1 = wire::text(bytes, "kind")?,
            _ => {}
        }
    }
    Ok(found)
}

/// Adds the fields of a message to `object`. Fields that the table does not know are skipped, as protobuf demands.
fn message(fields: &[Field], bytes: &[u8], object: &mut Object) -> Result<(), ProtobufError> {
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
        match (field.repeat, wire) {
            (Repeat::Once, wire) if field.is_inline() => {
                let (Wire::Bytes(bytes), Some(inner)) = (wire, messages().get(field.kind)) else {
                    return Err(ProtobufError::WrongWireType(field.kind.to_owned()));
                };
                message(inner, bytes, object)?;
            }
            (Repeat::Once, wire) => {
                let value = value::read(field, wire)?;
                if field.is_pointer || !value::is_absent(&value) {
                    object.insert(field.name.to_owned(), value);
                }
            }
            (Repeat::List, wire) => {
                let value = value::read(field, wire)?;
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut().ok_or_else(|| ProtobufError::Value(field.name.to_owned()))?.push(value);
            }
            (Repeat::Map, Wire::Bytes(bytes)) => {
                let (key, value) = value::pair(field, bytes)?;
                let map = object.entry(field.name).or_insert_with(|| Value::Object(Object::new()));
                map.as_object_mut().ok_or_else(|| ProtobufError::Value(field.name.to_owned()))?.insert(key, value);
            }
            (Repeat::Map, Wire::Varint(_)) => return Err(ProtobufError::WrongWireType(field.name.to_owned())),
        }
    }
    Ok(())
}
