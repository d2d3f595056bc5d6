//! The syntaxes of bodies: JSON, and what is converted from and to it.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::apiserver::{protobuf, status::ApiError};

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The body as JSON; YAML and protobuf are converted.
pub fn json_body(content_type: Option<&str>, body: Bytes) -> Result<Bytes, ApiError> {
    let Some(content_type) = content_type.filter(|content_type| !content_type.is_empty()) else { return Ok(body) };
    match media_type(Some(content_type)).to_ascii_lowercase().as_str() {
        "application/json" => Ok(body),
        "application/yaml" => from_yaml(&body),
        "application/vnd.kubernetes.protobuf" => protobuf::to_json(&body).map(Bytes::from),
        _ => Err(ApiError::unsupported_media_type(ACCEPTED)),
    }
}

/// The first document of `yaml`; of keys that occur twice the last counts, and numbers that begin with a zero are octal, as in Go.
fn from_yaml(mut yaml: &[u8]) -> Result<Bytes, ApiError> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        legacy_octal_numbers: true,
    };
    let first = serde_saphyr::read_with_options(&mut yaml, options).next();
    let value: serde_json::Value = first
        .transpose()
        .map_err(|error| {
            let error = error.to_string();
            let why = error.lines().next().unwrap_or_default();
            ApiError::bad_request(format!("error converting YAML to JSON: {why}"))
        })?
        .unwrap_or_default();
    serde_json::to_vec(&value).map(Bytes::from).map_err(ApiError::internal)
}

/// JSON as YAML, with the keys of each mapping in order, as Kubernetes writes it.
pub fn to_yaml(json: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    serde_saphyr::to_string(&value).ok().map(String::into_bytes)
}

/// The text compressed, as little as kube-apiserver does.
pub fn gzip(text: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    encoder.write_all(text).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// JSON on many lines for people to read, as Go's `MarshalIndent` writes it. `json` has no spaces between its tokens.
pub fn to_pretty(json: &[u8]) -> Vec<u8> {
    let mut pretty = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (i, &byte) in json.iter().enumerate() {
        let is_empty = |open: u8| i > 0 && json[i - 1] == open;
        match byte {
            b'"' if !escaped => in_text = !in_text,
            b'}' | b']' if !in_text => {
                depth = depth.saturating_sub(1);
                if !is_empty(if byte == b'}' { b'{' } else { b'[' }) {
                    new_line(&mut pretty, depth);
                }
            }
            _ => {}
        }
        escaped = in_text && byte == b'\\' && !escaped;
        pretty.push(byte);
        if in_text {
            continue;
        }
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if !matches!(json.get(i + 1), Some(b'}' | b']')) {
                    new_line(&mut pretty, depth);
                }
            }
            b',' => new_line(&mut pretty, depth),
            b':' => pretty.push(b' '),
            _ => {}
        }
    }
    pretty
}

fn new_line(text: &mut Vec<u8>, depth: usize) {
    text.push(b'\n');
    text.resize(text.len() + 2 * depth, b' ');
}

/// A `Content-Type` without its parameters.
pub fn media_type(content_type: Option<&str>) -> &str {
    content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_json_is_that_of_serde() {
        let value = serde_json::json!({"a": [1, {"b": "x\\\"{[,:"}], "c": {}, "d": [], "e": "", "f": [[]]});
        let pretty = to_pretty(value.to_string().as_bytes());
        assert_eq!(String::from_utf8(pretty).unwrap(), serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn yaml_is_read_up_to_the_end_of_its_first_document() {
        let json = |yaml: &'static str| json_body(Some("application/yaml"), Bytes::from_static(yaml.as_bytes()));
        assert_eq!(json("a: 1\n---\na: 2\n").unwrap(), r#"{"a":1}"#);
        assert_eq!(json("a: {b: 1, b: 2}").unwrap(), r#"{"a":{"b":2}}"#);
        assert_eq!(json("defaultMode: 0644").unwrap(), r#"{"defaultMode":420}"#);
        assert_eq!(json("").unwrap(), "null");
        assert!(json("a: [").unwrap_err().to_string().starts_with("error converting YAML to JSON: "));
    }
}
