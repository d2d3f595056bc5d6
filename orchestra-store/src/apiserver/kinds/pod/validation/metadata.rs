//! Annotations of templates and pods.

use std::collections::BTreeMap;

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::qualified_name,
};

/// How dear a pod is to its ReplicaSet, which deletes the cheapest first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

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

/// A pod's cost of deletion is a number as people write it, without a plus sign or zeros before it (`GetDeletionCostFromPodAnnotations`).
pub(super) fn deletion_cost(annotations: &BTreeMap<String, String>, path: &Path) -> Option<Error> {
    let cost = annotations.get(DELETION_COST)?;
    let begins_well = cost == "0" || cost.starts_with(|first: char| matches!(first, '-' | '1'..='9'));
    let is_number = begins_well && cost.parse::<i32>().is_ok();
    (!is_number).then(|| Error::invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer"))
}
