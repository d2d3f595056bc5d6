//! From which nodes a volume can be reached.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, VolumeNodeAffinity};

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    kinds::pod,
};

/// Labels of nodes that have other names now: the one thing that may change.
const RENAMED: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

pub(super) fn validate(affinity: &VolumeNodeAffinity, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let path = path.child("required");
    match &affinity.required {
        Some(selector) => pod::node_selector(selector, &path, &mut errors),
        None => errors.push(Error::required(&path, "must specify required node constraints")),
    }
    errors
}

/// The affinity may be set once; Kubernetes names the field without `spec`.
pub(super) fn validate_update(new: Option<&VolumeNodeAffinity>, old: Option<&VolumeNodeAffinity>) -> Option<Error> {
    let old = old?;
    let is_same = new.is_some_and(|new| new == old || *new == renamed(old, new));
    (!is_same).then(|| {
        let why = "field is immutable, except for updating from beta label to GA";
        Error::invalid(&Path::new("nodeAffinity"), Shown::json(&new), why)
    })
}

/// `old` with the new names of labels where `new` has them.
fn renamed(old: &VolumeNodeAffinity, new: &VolumeNodeAffinity) -> VolumeNodeAffinity {
    let mut old = old.clone();
    for (before, now) in requirements(&mut old).into_iter().zip(requirements(&mut new.clone())) {
        if RENAMED.contains(&(&before.key, &now.key)) {
            before.key.clone_from(&now.key);
        }
    }
    old
}

fn requirements(affinity: &mut VolumeNodeAffinity) -> Vec<&mut NodeSelectorRequirement> {
    let terms = affinity.required.iter_mut().flat_map(|selector| &mut selector.node_selector_terms);
    terms.flat_map(|term| term.match_expressions.iter_mut().flatten()).collect()
}
