//! What a volume is to be filled with: two fields of different age that say the same (KEP-1495).

use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, TypedLocalObjectReference, TypedObjectReference};

use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::name,
};

/// The older field knows claims and snapshots, and is ignored where it says something else.
pub(super) fn drop_unknown(spec: &mut PersistentVolumeClaimSpec) {
    spec.data_source.take_if(|source| {
        let kind = (source.api_group.as_deref().unwrap_or_default(), source.kind.as_str());
        !matches!(kind, ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot"))
    });
    // Sources in other namespaces (KEP-3294) are off by default.
    if let Some(reference) = &mut spec.data_source_ref {
        reference.namespace = None;
    }
}

/// Where one of them is set, so is the other.
pub(super) fn agree(spec: &mut PersistentVolumeClaimSpec) {
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(source), None) => {
            spec.data_source_ref = Some(TypedObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
                namespace: None,
            });
        }
        (None, Some(reference)) if reference.namespace.as_deref().unwrap_or_default().is_empty() => {
            spec.data_source = Some(TypedLocalObjectReference {
                api_group: reference.api_group.clone(),
                kind: reference.kind.clone(),
                name: reference.name.clone(),
            });
        }
        _ => {}
    }
}

pub(super) fn validate(spec: &PersistentVolumeClaimSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(source) = &spec.data_source {
        let group = source.api_group.as_deref();
        reference(group, &source.kind, &source.name, &path.child("dataSource"), &mut errors);
    }
    if let Some(source) = &spec.data_source_ref {
        let group = source.api_group.as_deref();
        reference(group, &source.kind, &source.name, &path.child("dataSourceRef"), &mut errors);
    }
    if let (Some(old), Some(new)) = (&spec.data_source, &spec.data_source_ref)
        && (&old.api_group, &old.kind, &old.name) != (&new.api_group, &new.kind, &new.name)
    {
        let field = path.child("dataSource").to_string();
        errors.push(Error::invalid(path, field.as_str(), "must match dataSourceRef"));
    }
    errors
}

fn reference(group: Option<&str>, kind: &str, object: &str, path: &Path, errors: &mut Errors) {
    for (field, value) in [("name", object), ("kind", kind)] {
        if value.is_empty() {
            errors.push(Error::required(&path.child(field), ""));
        }
    }
    let group = group.unwrap_or_default();
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, kind, why));
    }
    let wrong = Some(group).filter(|group| !group.is_empty()).and_then(|group| name::subdomain(group, false));
    errors.extend(wrong.map(|error| Error::invalid(&path.child("apiGroup"), group, error)));
}
