//! Patches of JSON trees: RFC 6902, RFC 7386, and Kubernetes' strategic merge.

mod empty;
mod json;
pub mod schema;
mod strategic;
mod touched;

use serde_json::Value;

use super::{registry::Resource, request::encoding, status::ApiError};

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    StrategicMerge,
}

impl PatchType {
    /// Reads a `Content-Type`; 415 for any that is no patch, 501 for server-side apply.
    pub fn from_content_type(content_type: Option<&str>) -> Result<Self, ApiError> {
        match encoding::media_type(content_type) {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::StrategicMerge),
            "application/apply-patch+yaml" => {
                Err(ApiError::not_implemented("server-side apply is not supported by this server"))
            }
            _ => Err(ApiError::unsupported_patch("415: Unsupported Media Type")),
        }
    }
}

/// What a patch makes of an object.
#[derive(Debug)]
pub struct Patched {
    /// The new object.
    pub json: Vec<u8>,
    /// Its fields that are as they were.
    pub untouched: Vec<String>,
}

impl Patched {
    /// Any of its fields may be new.
    fn throughout(object: &Value) -> Result<Self, ApiError> {
        Ok(Self { json: serde_json::to_vec(object).map_err(ApiError::internal)?, untouched: Vec::new() })
    }
}

/// What `patch` makes of `current`, the JSON of an object of `resource` as clients see it.
///
/// # Errors
/// 400 for a body that cannot be read, 413 for more than 10,000 operations, 415 for a strategic merge of a kind that is not
/// built in, 422 for a patch that does not fit the object.
pub fn apply(kind: PatchType, resource: &Resource, current: &[u8], patch: &[u8]) -> Result<Patched, ApiError> {
    let root = schema::root(&resource.group, &resource.kind);
    let is_built_in = root.is_some();
    match (kind, root) {
        (PatchType::Json, _) => {
            let current = serde_json::from_slice(current).map_err(ApiError::internal)?;
            let mut patched = json::apply(current, patch)?;
            if is_built_in {
                empty::omit(&mut patched);
            }
            Patched::throughout(&patched)
        }
        (PatchType::Merge, _) => touched::change(current, merge_patch(patch)?, is_built_in, |mut fields, patch| {
            json_patch::merge(&mut fields, &patch);
            Ok(fields)
        }),
        (PatchType::StrategicMerge, Some(root)) => {
            let patch = json::object(patch).map_err(ApiError::bad_request)?;
            touched::change(current, patch, is_built_in, |fields, patch| strategic::apply(root, fields, patch))
        }
        (PatchType::StrategicMerge, None) => {
            let known = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            Err(ApiError::unsupported_media_type(known))
        }
    }
}

/// A patch as messages show it.
pub fn shown(patch: &[u8]) -> String {
    strategic::shown(&json::object(patch).unwrap_or_default())
}

fn merge_patch(patch: &[u8]) -> Result<Value, ApiError> {
    if patch.trim_ascii() == b"null" {
        return Err(ApiError::bad_request("Invalid JSON Patch"));
    }
    json::object(patch).map_err(|why| ApiError::bad_request(format!("error decoding patch: {why}")))
}
