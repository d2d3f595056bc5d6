//! Go's words for serde's errors.

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

/// A body that is not JSON, quoted at its beginning.
pub(super) fn syntax(body: &[u8], error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "unexpected end of JSON input".to_owned(),
        serde_json::error::Category::Data if body.first() == Some(&b'[') => return not_an_object_in("array", body),
        _ => plain(error),
    };
    let quoted = match std::str::from_utf8(body) {
        Ok("") => "<empty>".to_owned(),
        Ok(text) => match text.char_indices().nth(QUOTED) {
            Some((end, _)) => format!("{} ...", &text[..end]),
            None => text.to_owned(),
        },
        Err(_) => hex(body),
    };
    format!("couldn't get version/kind; json parse error: {what} ({quoted})")
}

fn hex(body: &[u8]) -> String {
    let mut text: String = body.iter().take(QUOTED).map(|byte| format!("{byte:02x}")).collect();
    if body.len() > QUOTED {
        text.push_str(" ...");
    }
    text
}

/// A body that is JSON but not an object.
pub(super) fn not_an_object(found: &str) -> String {
    not_an_object_in(found, b"[]")
}

fn not_an_object_in(found: &str, body: &[u8]) -> String {
    let go = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    let hex = hex(body);
    format!(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type {go} ({hex})"
    )
}
