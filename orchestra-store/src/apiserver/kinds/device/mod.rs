//! What the kinds of dynamic resource allocation share (`pkg/apis/resource/validation`): names, selectors, parameters, taints.

mod list;
mod name;
mod taint;

use k8s_openapi::{
    api::resource::v1::{DeviceSelector, OpaqueDeviceConfiguration},
    apimachinery::pkg::runtime::RawExtension,
};
use orchestra_core::device::{Selector, SelectorError};
use serde_json::Value;

pub(super) use self::{
    list::{each, set},
    name::{driver, fully_qualified, label, pool, qualified, subdomain},
    taint::{default_tolerations, taint, toleration},
};
use crate::apiserver::field::{Error, Errors, Path};

/// `DeviceSelectorsMaxSize`, `DeviceConfigMaxSize`, `DeviceRequestsMaxSize`, `DeviceConstraintsMaxSize`, `AllocationResultsMaxSize`.
pub(super) const MAX_ITEMS: usize = 32;
/// The most bytes of an expression, and of parameters.
const MAX_BYTES: usize = 10 * 1024;

/// Checks selectors, and that each of their expressions can be evaluated.
pub(super) fn selectors(selectors: Option<&[DeviceSelector]>, path: &Path) -> Errors {
    each(selectors, MAX_ITEMS, path, |selector, path| {
        let path = path.child("cel");
        match &selector.cel {
            Some(cel) => expression(&cel.expression, &path.child("expression")).into_iter().collect(),
            None => vec![Error::required(&path, "")],
        }
    })
}

fn expression(expression: &str, path: &Path) -> Option<Error> {
    if expression.len() > MAX_BYTES {
        return Some(Error::too_long(path, MAX_BYTES));
    }
    match Selector::compile(expression) {
        Ok(_) => None,
        Err(error @ SelectorError::TooComplex) => Some(Error::forbidden(path, &error.to_string())),
        Err(error) => Some(Error::invalid(path, expression, error.to_string())),
    }
}

/// Checks what is meant for a driver alone.
pub(super) fn configuration(opaque: Option<&OpaqueDeviceConfiguration>, path: &Path) -> Errors {
    let path = path.child("opaque");
    let Some(opaque) = opaque else { return vec![Error::required(&path, "")] };
    let mut errors = driver(&opaque.driver, &path.child("driver"));
    errors.extend(object(&opaque.parameters, &path.child("parameters"), MAX_BYTES));
    errors
}

/// Checks JSON that others give a meaning to: an object of at most `max` bytes.
pub(super) fn object(json: &RawExtension, path: &Path, max: usize) -> Option<Error> {
    match &json.0 {
        Value::Null => Some(Error::required(path, "")),
        Value::Object(_) if json.0.to_string().len() > max => Some(Error::too_long(path, max)),
        Value::Object(_) => None,
        _ => Some(Error::invalid(path, "<value omitted>", "must be a valid JSON object")),
    }
}
