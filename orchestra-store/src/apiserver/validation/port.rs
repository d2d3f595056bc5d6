//! Numbers and names of ports.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::apiserver::field::{Error, Errors, Path};

/// The most characters of a port's name (RFC 6335).
const NAME_MAX: usize = 15;

/// What is wrong with a port's number.
pub fn number(port: i32) -> Option<String> {
    (!(1..=65535).contains(&port)).then(|| "must be between 1 and 65535, inclusive".to_owned())
}

/// What is wrong with a port's name (an IANA service name).
pub fn name(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > NAME_MAX {
        errors.push(format!("must be no more than {NAME_MAX} bytes"));
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// What is wrong with a reference to a port by number or name at `path`.
pub fn number_or_name(port: &IntOrString, path: &Path) -> Errors {
    match port {
        IntOrString::Int(port) => number(*port).map(|error| Error::invalid(path, *port, error)).into_iter().collect(),
        IntOrString::String(port) => name(port).into_iter().map(|error| Error::invalid(path, port, error)).collect(),
    }
}
