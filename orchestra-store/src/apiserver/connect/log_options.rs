//! The options of `pods/log` (`ValidatePodLogOptions`).

use crate::apiserver::{
    ApiError,
    field::{Error, Errors, Path},
    request::options::Query,
};

/// The parameters that the kubelet takes as they are.
const PASSED: [&str; 8] =
    ["follow", "previous", "timestamps", "tailLines", "limitBytes", "sinceSeconds", "sinceTime", "stream"];

/// What the kubelet is asked, if the options make sense.
pub(super) fn to_kubelet(query: &Query, pod: &str) -> Result<String, ApiError> {
    let errors = check(query)?;
    if !errors.is_empty() {
        return Err(ApiError::invalid_kind("", "PodLogOptions", pod, &errors));
    }
    let passed = PASSED.into_iter().filter_map(|name| match query.get(name)? {
        // A flag without a value is set.
        "" if ["follow", "previous", "timestamps"].contains(&name) => Some((name, "true")),
        "" => None,
        value => Some((name, value)),
    });
    Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(passed).finish())
}

fn check(query: &Query) -> Result<Errors, ApiError> {
    let mut errors = Errors::new();
    let path = Path::new;
    let tail = number(query, "tailLines")?;
    if let Some(tail) = tail.filter(|tail| *tail < 0) {
        errors.push(Error::invalid(&path("tailLines"), tail, "must be greater than or equal to 0"));
    }
    if let Some(limit) = number(query, "limitBytes")?.filter(|limit| *limit < 1) {
        errors.push(Error::invalid(&path("limitBytes"), limit, "must be greater than 0"));
    }
    let seconds = number(query, "sinceSeconds")?;
    let time = query.get("sinceTime").filter(|time| !time.is_empty());
    match (seconds, time) {
        (Some(_), Some(_)) => {
            errors.push(Error::forbidden(&path(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"));
        }
        (Some(seconds), None) if seconds < 1 => {
            errors.push(Error::invalid(&path("sinceSeconds"), seconds, "must be greater than 0"));
        }
        (None, Some(time)) if time.parse::<jiff::Timestamp>().is_err() => {
            return Err(ApiError::bad_request(format!(
                "parsing time {time:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {time:?}"
            )));
        }
        _ => {}
    }
    match query.get("stream").filter(|stream| !stream.is_empty()) {
        None | Some("All") => {}
        Some("Stdout" | "Stderr") if tail.is_none() => {}
        Some("Stdout" | "Stderr") => {
            let why = "`tailLines` and specific `stream` are mutually exclusive for now";
            errors.push(Error::forbidden(&path(""), why));
        }
        Some(other) => {
            errors.push(Error::not_supported(&path("stream"), other, &["All", "Stderr", "Stdout"]));
        }
    }
    Ok(errors)
}

fn number(query: &Query, name: &str) -> Result<Option<i64>, ApiError> {
    match query.get(name) {
        Some("") => Ok(None),
        _ => query.integer(name),
    }
}
