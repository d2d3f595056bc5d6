//! Numbers of pods that may be said as a share of all: `3`, `25%` (`pkg/apis/apps/validation`).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::workload;
use crate::apiserver::field::{Error, Errors, Path, Shown};

const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/// An error if the value is neither a number of pods nor a share of them (`ValidatePositiveIntOrPercent`).
pub(super) fn number_or_share(value: &IntOrString, path: &Path) -> Option<Error> {
    match value {
        IntOrString::Int(number) => workload::not_negative(Some(*number), path),
        IntOrString::String(text) => percent(text).is_none().then(|| Error::invalid(path, Shown::json(value), PERCENT)),
    }
}

/// An error if the value is more than all of the pods (`IsNotMoreThan100Percent`).
pub(super) fn not_more_than_all(value: &IntOrString, path: &Path) -> Option<Error> {
    let IntOrString::String(text) = value else { return None };
    let is_more = percent(text).is_some_and(|percent| percent > 100);
    is_more.then(|| Error::invalid(path, Shown::json(value), "must not be greater than 100%"))
}

/// What is wrong with the value, which is a number of pods or a share of at most all.
pub(super) fn validate(value: &IntOrString, path: &Path) -> Errors {
    number_or_share(value, path).into_iter().chain(not_more_than_all(value, path)).collect()
}

/// The number, or that of the percentage.
pub(super) fn magnitude(value: Option<&IntOrString>) -> i64 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => i64::from(*number),
        Some(IntOrString::String(text)) => percent(text).unwrap_or_default(),
    }
}

/// The number of a percentage; one with more digits than fit is as large as can be.
fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(i64::MAX))
}
