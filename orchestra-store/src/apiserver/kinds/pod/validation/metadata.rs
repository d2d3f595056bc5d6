//! Annotations of a template.

use std::collections::BTreeMap;

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::qualified_name,
};

const TOTAL_MAX: usize = 256 * 1024;

pub(super) fn annotations(annotations: &BTreeMap<String, String>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for key in annotations.keys() {
        errors.extend(super::invalid(path, key, qualified_name::key(&key.to_lowercase())));
    }
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > TOTAL_MAX {
        errors.push(Error::too_long(path, TOTAL_MAX));
    }
    errors
}
