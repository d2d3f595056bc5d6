//! Go's words for serde's errors.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::syntax;

/// Says that a value has the wrong type, as `encoding/json` does: `json: cannot unmarshal number into Go struct field
/// ObjectMeta.metadata.name of type string`. Errors of another nature (of a timestamp, of base64) are passed on.
pub(super) fn describe(error: &str, expected: &str, structure: &str, path: &str) -> String {
    if let Some(position) = error.strip_prefix("Invalid symbol ") {
        // The base64 crate: `Invalid symbol 37, offset 0.`
        let offset: String =
            position.split("offset ").nth(1).unwrap_or("0").chars().take_while(char::is_ascii_digit).collect();
        return format!("illegal base64 data at input byte {offset}");
    }
    if error.starts_with("Invalid input length")
        || error.starts_with("Invalid padding")
        || error.starts_with("Invalid last symbol")
    {
        return "illegal base64 data at input byte 0".to_owned();
    }
    let Some(found) = error.strip_prefix("invalid type: ").or_else(|| error.strip_prefix("invalid value: ")) else {
        return without_position(error).to_owned();
    };
    let found = match found.split([' ', ',']).next().unwrap_or_default() {
        "integer" if error.starts_with("invalid value") => format!("number {}", quoted(found)),
        "floating" => format!("number {}", quoted(found)),
        "integer" => "number".to_owned(),
        "boolean" => "bool".to_owned(),
        "map" => "object".to_owned(),
        "sequence" => "array".to_owned(),
        "string" => "string".to_owned(),
        other => other.to_owned(),
    };
    if expected.is_empty() {
        return format!("json: cannot unmarshal {found} into Go struct field {structure}.{path}");
    }
    if path.is_empty() {
        return format!("json: cannot unmarshal {found} into Go value of type {expected}");
    }
    format!("json: cannot unmarshal {found} into Go struct field {structure}.{path} of type {expected}")
}

/// What stands between backticks.
fn quoted(text: &str) -> &str {
    text.split('`').nth(1).unwrap_or_default()
}

fn without_position(error: &str) -> &str {
    error.rfind(" at line ").map_or(error, |at| &error[..at])
}

/// An error that was not found by type.
pub(super) fn plain(error: &serde_json::Error) -> String {
    without_position(&error.to_string()).to_owned()
}

/// The Go type of a Rust list: `[]v1.Container`.
pub(super) fn slice_of(rust: &str) -> String {
    format!("[]{}", go_type(inner_type(rust)))
}

/// The Go type of a Rust map with text keys: `map[string]string`.
pub(super) fn map_of(rust: &str) -> String {
    let value = inner_type(rust).split_once(", ").map_or("string", |(_, value)| value);
    format!("map[string]{}", go_type(value))
}

/// The part between the outermost angle brackets.
fn inner_type(rust: &str) -> &str {
    match (rust.find('<'), rust.rfind('>')) {
        (Some(start), Some(end)) if start < end => &rust[start + 1..end],
        _ => rust,
    }
}

fn go_type(rust: &str) -> String {
    match last_segment(rust) {
        "String" | "str" => "string".to_owned(),
        "i32" => "int32".to_owned(),
        "i64" => "int64".to_owned(),
        "bool" => "bool".to_owned(),
        "Quantity" => "resource.Quantity".to_owned(),
        "ByteString" => "[]uint8".to_owned(),
        name => format!("v1.{name}"),
    }
}

/// The type's name without its path.
pub(super) fn last_segment(path: &str) -> &str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit([':', '.']).next().unwrap_or(path)
}

/// How much of a body is quoted in a message.
const QUOTED: usize = 30;

/// A body, quoted at its beginning: as text if it may be an object, else as hexadecimal digits.
pub(super) fn quote(body: &[u8]) -> String {
    match body {
        [] => "<empty>".to_owned(),
        [b'{', ..] => match body.get(..QUOTED) {
            Some(head) if body.len() > QUOTED => format!("{} ...", String::from_utf8_lossy(head)),
            _ => String::from_utf8_lossy(body).into_owned(),
        },
        _ => {
            let digits: String = body.iter().take(QUOTED).map(|byte| format!("{byte:02x}")).collect();
            if body.len() > QUOTED { format!("{digits} ...") } else { digits }
        }
    }
}

/// A body whose type cannot be read: it is not JSON, not an object, or its type is no text.
pub(super) fn untyped(body: &[u8]) -> String {
    let what = syntax::error(body).unwrap_or_else(|| mistyped(body));
    format!("couldn't get version/kind; json parse error: {what} ({})", quote(body))
}

fn mistyped(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Loose<'a> {
        #[serde(borrow)]
        api_version: Option<&'a RawValue>,
        #[serde(borrow)]
        kind: Option<&'a RawValue>,
    }
    let found = serde_json::from_slice::<Loose<'_>>(body).ok();
    let fields = found.into_iter().flat_map(|loose| [("apiVersion", loose.api_version), ("kind", loose.kind)]);
    let wrong = fields
        .filter_map(|(name, value)| Some((name, json_type(value?.get().as_bytes()))))
        .find(|(_, found)| *found != "string");
    match wrong {
        Some((name, found)) => format!("json: cannot unmarshal {found} into Go struct field .{name} of type string"),
        None => format!("json: cannot unmarshal {} into Go value of type {GO_TYPE_META}", json_type(body)),
    }
}

const GO_TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

fn json_type(json: &[u8]) -> &'static str {
    match super::first_byte(json) {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    }
}
