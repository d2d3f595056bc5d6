//! From a request's body to an object of the row's kind, or of one that goes with it.

use serde::de::DeserializeOwned;

use super::Call;
use crate::apiserver::{
    ApiError,
    decode::{self, Findings, TypeMeta},
    object::Object,
    registry::Resource,
    request::{encoding, options::FieldValidation},
};

/// Why JSON is not an object of the row.
pub(super) struct Unlike {
    /// The kind that it says it is, or that it is taken for; `None` if it cannot be read that far.
    kind: Option<String>,
    /// What is wrong with it.
    pub(super) why: String,
}

/// Decodes what a client sent as an object.
pub(super) fn decode(resource: &Resource, json: &[u8]) -> Result<(Box<dyn Object>, Findings), ApiError> {
    read(resource, json, &[]).map_err(|Unlike { kind: found, why }| {
        let (kind, version) = (&resource.kind, &resource.version);
        ApiError::bad_request(match found {
            Some(found) => format!("{found} in version {version:?} cannot be handled as a {kind}: {why}"),
            None => format!("the object provided is unrecognized (must be of type {kind}): {why}"),
        })
    })
}

/// Decodes `json`, whose type must be the row's, or not said. The `known` fields are those of an object that was decoded before.
pub(super) fn read(resource: &Resource, json: &[u8], known: &[String]) -> Result<(Box<dyn Object>, Findings), Unlike> {
    let kind = &resource.kind;
    let type_is_known = ["apiVersion", "kind"].iter().all(|field| known.iter().any(|known| known == field));
    let found = match type_is_known {
        true => TypeMeta::default(),
        false => decode::type_meta(json).map_err(|error| Unlike { kind: None, why: error.to_string() })?,
    };
    let name = if found.kind.is_empty() { kind } else { &found.kind };
    let unlike = |why: String| Unlike { kind: Some(name.clone()), why };
    if !found.api_version.is_empty() && found.api_version != resource.api_version() {
        let version = &found.api_version;
        return Err(unlike(format!(
            "no kind {name:?} is registered for version {version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )));
    }
    if name != kind {
        let (version, package) = (&resource.version, resource.go_package());
        return Err(unlike(format!("converting ({version}.{name}) to ({package}.{kind}): unknown conversion")));
    }
    let decoded = resource.rules.decode(json, known).map_err(|error| unlike(error.to_string()))?;
    Ok((decoded.object, decoded.findings))
}

/// The kind that the body says it is.
pub(super) fn kind(call: &Call) -> Result<String, ApiError> {
    let json = encoding::json_body(call.content_type.as_deref(), call.body.clone())?;
    let found = decode::type_meta(&json).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(found.kind)
}

/// Decodes a body of another kind than the row's, such as a Binding; fields that are unknown do not matter.
pub(super) fn decode_other<T: DeserializeOwned>(call: &Call, kind: &str) -> Result<T, ApiError> {
    let json = encoding::json_body(call.content_type.as_deref(), call.body.clone())?;
    let bad = |error: decode::DecodeError| ApiError::bad_request(error.to_string());
    let found = decode::type_meta(&json).map_err(bad)?;
    if !found.kind.is_empty() && found.kind != kind {
        return Err(ApiError::bad_request(format!("decoded object cannot be converted to {kind}")));
    }
    decode::typed(&json, &[]).map(|(value, _)| value).map_err(bad)
}

/// What becomes of fields that are unknown or occur twice: an error, warnings, or nothing.
pub(super) fn judge(resource: &Resource, findings: Findings, mode: FieldValidation) -> Result<Vec<String>, ApiError> {
    let Findings(found) = findings;
    match mode {
        FieldValidation::Strict if !found.is_empty() => {
            let (kind, version) = (&resource.kind, &resource.version);
            let found = found.join(", ");
            Err(ApiError::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: strict decoding error: {found}"
            )))
        }
        FieldValidation::Warn => Ok(found),
        _ => Ok(Vec::new()),
    }
}
