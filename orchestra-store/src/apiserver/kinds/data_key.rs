//! The keys of ConfigMaps and Secrets, which become names of files (`IsConfigMapKey`).

use crate::apiserver::field::{Error, Path};

/// The most bytes of a key.
const MAX: usize = 253;
const FORM: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// What is wrong with a key.
pub(super) fn validate(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > MAX {
        errors.push(format!("must be no more than {MAX} bytes"));
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        errors.push(FORM.to_owned());
    }
    match key {
        "." | ".." => errors.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// The errors of `key` in the map at `path`.
pub(super) fn errors(key: &str, path: &Path) -> impl Iterator<Item = Error> {
    let path = path.key(key);
    let key = key.to_owned();
    validate(&key).into_iter().map(move |error| Error::invalid(&path, &key, error))
}
