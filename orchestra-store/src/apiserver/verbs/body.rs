//! From a request's body to an object of the row's kind.

use crate::apiserver::{
    ApiError,
    decode::{self, Findings},
    object::Object,
    registry::Resource,
    request::options::FieldValidation,
};

/// Decodes `json`, whose type must be the row's, or not said.
pub(super) fn decode(resource: &Resource, json: &[u8]) -> Result<(Box<dyn Object>, Findings), ApiError> {
    let kind = &resource.kind;
    let found = decode::type_meta(json).map_err(|error| {
        ApiError::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {error}"))
    })?;
    let unlike = |what: String| {
        let version = &resource.version;
        let name = if found.kind.is_empty() { kind } else { &found.kind };
        ApiError::bad_request(format!("{name} in version {version:?} cannot be handled as a {kind}: {what}"))
    };
    if !found.api_version.is_empty() && found.api_version != resource.api_version() {
        let (version, name) = (&found.api_version, if found.kind.is_empty() { kind } else { &found.kind });
        return Err(unlike(format!(
            "no kind {name:?} is registered for version {version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )));
    }
    if !found.kind.is_empty() && found.kind != *kind {
        let (version, other) = (&resource.version, &found.kind);
        let package =
            if resource.group.is_empty() { "core" } else { resource.group.split('.').next().unwrap_or_default() };
        return Err(unlike(format!("converting ({version}.{other}) to ({package}.{kind}): unknown conversion")));
    }
    let decoded = resource.rules.decode(json).map_err(|error| unlike(error.to_string()))?;
    Ok((decoded.object, decoded.findings))
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
