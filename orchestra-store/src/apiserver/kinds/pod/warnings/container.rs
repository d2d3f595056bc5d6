use std::collections::{BTreeMap, HashSet};

use k8s_openapi::{
    api::core::v1::{Container, EnvVar},
    apimachinery::pkg::api::resource::Quantity as Amount,
};
use orchestra_core::quantity::Quantity;

use crate::apiserver::field::Path;

/// What is odd about the container at `path`.
pub(super) fn container(container: &Container, path: &Path, warnings: &mut Vec<String>) {
    let resources = container.resources.as_ref();
    let (limits, requests) =
        (resources.and_then(|found| found.limits.as_ref()), resources.and_then(|found| found.requests.as_ref()));
    let at = path.child("resources");
    for resource in IN_BYTES {
        warnings.extend(fractional(limits, resource, &at.child("limits")));
        warnings.extend(fractional(requests, resource, &at.child("requests")));
    }
    let mut seen = HashSet::new();
    for (i, variable) in container.env.iter().flatten().enumerate() {
        if !seen.insert(variable.name.as_str()) && !continues(variable) {
            let (path, name) = (path.child("env").index(i), &variable.name);
            warnings
                .push(format!("{path}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
}

/// Resources of which there is no part.
pub(super) const IN_BYTES: [&str; 2] = ["memory", "ephemeral-storage"];

/// What is odd about the amount of a resource, if it is in parts of bytes.
pub(super) fn fractional(amounts: Option<&BTreeMap<String, Amount>>, resource: &str, path: &Path) -> Option<String> {
    let Amount(text) = amounts?.get(resource)?;
    let is_whole = text.parse::<Quantity>().ok()?.is_whole();
    (!is_whole)
        .then(|| format!("{}: fractional byte value {text:?} is invalid, must be an integer", path.key(resource)))
}

/// Whether the variable only adds to what another of its name says.
fn continues(variable: &EnvVar) -> bool {
    let previous = format!("$({})", variable.name);
    let value = variable.value.as_deref().unwrap_or_default();
    variable.value_from.is_none() && value != previous && value.contains(&previous)
}
