//! Content negotiation: which formats a client accepts, and which its body has.

use crate::apiserver::{protobuf, status::ApiError};

const AVAILABLE: &str = "application/json, application/yaml";
const ACCEPTED_BODIES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// The syntax of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

/// What an answer shows of its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The objects themselves.
    #[default]
    Objects,
    /// `meta.k8s.io/v1` Table.
    Table,
    /// `meta.k8s.io/v1` PartialObjectMetadata (or a list of these).
    Metadata,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// The syntax.
    pub encoding: Encoding,
    /// What is shown.
    pub view: View,
}

impl Accept {
    /// Chooses the first of the `Accept` header's formats that can be given, as Kubernetes does (it reads no `q`).
    pub fn negotiate(header: Option<&str>) -> Result<Self, ApiError> {
        let Some(header) = header.filter(|header| !header.trim().is_empty()) else { return Ok(Self::default()) };
        header
            .split(',')
            .find_map(Self::clause)
            .ok_or_else(|| ApiError::not_acceptable(&format!("{AVAILABLE}, application/vnd.kubernetes.protobuf")))
    }

    fn clause(clause: &str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        let encoding = match parts.next()? {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => return None,
        };
        let (mut kind, mut group, mut version) = (None, None, None);
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim() {
                "as" => kind = Some(value.trim()),
                "g" => group = Some(value.trim()),
                "v" => version = Some(value.trim()),
                _ => {}
            }
        }
        let view = match kind {
            None => View::Objects,
            Some(_) if group != Some("meta.k8s.io") || version != Some("v1") => return None,
            Some("Table") => View::Table,
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => View::Metadata,
            Some(_) => return None,
        };
        Some(Self { encoding, view })
    }
}

/// The body as JSON; YAML and protobuf are converted.
pub fn json_body(content_type: Option<&str>, body: bytes::Bytes) -> Result<bytes::Bytes, ApiError> {
    match media_type(content_type) {
        "" | "application/json" => Ok(body),
        "application/yaml" => {
            let text = std::str::from_utf8(&body).map_err(|_| ApiError::bad_request("the body is not valid UTF-8"))?;
            let value: serde_json::Value = serde_saphyr::from_str(text).map_err(|error| {
                ApiError::bad_request(format!("error converting YAML to JSON: {}", first_line(&error)))
            })?;
            serde_json::to_vec(&value).map(bytes::Bytes::from).map_err(ApiError::internal)
        }
        "application/vnd.kubernetes.protobuf" => protobuf::to_json(&body).map(bytes::Bytes::from),
        _ => Err(ApiError::unsupported_media_type(ACCEPTED_BODIES)),
    }
}

/// JSON as YAML, with the keys of each mapping in order, as Kubernetes writes it.
pub fn to_yaml(json: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    serde_saphyr::to_string(&value).ok().map(String::into_bytes)
}

fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// A `Content-Type` without its parameters.
pub fn media_type(content_type: Option<&str>) -> &str {
    content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_gets_a_table() {
        let header = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(Accept::negotiate(Some(header)).unwrap().view, View::Table);
    }

    #[test]
    fn what_is_not_offered_is_skipped() {
        let header = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(Accept::negotiate(Some(header)).unwrap(), Accept::default());
        assert_eq!(Accept::negotiate(Some("text/html")).unwrap_err().code(), 406);
    }
}
