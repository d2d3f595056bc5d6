//! Checks of volumes (`ValidatePersistentVolumeSpec`).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeSpec},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;

use super::{MOUNT_OPTIONS, node_affinity, source};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    kinds::{access_modes, spec_diff},
};

const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];

pub(super) fn validate(volume: &PersistentVolume) -> Errors {
    let path = Path::new("spec");
    let none = PersistentVolumeSpec::default();
    let spec = volume.spec.as_ref().unwrap_or(&none);
    let mut errors = Errors::new();
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(Error::required(&path.child("accessModes"), ""));
    }
    errors.extend(access_modes::validate(modes, &path.child("accessModes")));
    errors.extend(capacity(spec.capacity.as_ref(), &path.child("capacity")));
    let policy = spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default();
    let policy_path = path.child("persistentVolumeReclaimPolicy");
    if !policy.is_empty() && !RECLAIM_POLICIES.contains(&policy) {
        errors.push(Error::not_supported(&policy_path, policy, &RECLAIM_POLICIES));
    }
    if let Some(affinity) = &spec.node_affinity {
        errors.extend(node_affinity::validate(affinity, &path.child("nodeAffinity")));
    }
    errors.extend(source::validate(spec, &path));
    let whole_node = spec.host_path.as_ref().is_some_and(|host| is_root(&host.path));
    if whole_node && policy == "Recycle" {
        errors.push(Error::forbidden(&policy_path, "may not be 'recycle' for a hostPath mount of '/'"));
    }
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    errors.extend(access_modes::class_name(Some(class), &path.child("storageClassName")));
    errors.extend(access_modes::volume_mode(spec.volume_mode.as_deref(), &path.child("volumeMode")));
    errors.extend(attributes_class(spec, &path));
    errors.extend(mount_options(volume));
    errors
}

pub(super) fn validate_update(new: &PersistentVolume, old: &PersistentVolume) -> Errors {
    let mut errors = validate(new);
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return errors };
    if source_of(new, old) != source_of(old, old) {
        let why = "spec.persistentvolumesource is immutable after creation";
        let why = format!("{why}\n{}", spec_diff::of_volume_sources(old, new));
        errors.push(Error::forbidden(&Path::new("spec").child("persistentvolumesource"), &why));
    }
    errors.extend(access_modes::same_volume_mode(new.volume_mode.as_ref(), old.volume_mode.as_ref()));
    errors.extend(node_affinity::validate_update(new.node_affinity.as_ref(), old.node_affinity.as_ref()));
    if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
        let path = Path::new("spec").child("volumeAttributesClassName");
        errors.push(Error::forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
    errors
}

/// The source alone: `spec` with all else as in `old`. A secret for growing may be added to a CSI volume.
fn source_of(spec: &PersistentVolumeSpec, old: &PersistentVolumeSpec) -> PersistentVolumeSpec {
    let mut source = PersistentVolumeSpec {
        access_modes: None,
        capacity: None,
        claim_ref: None,
        mount_options: None,
        node_affinity: None,
        persistent_volume_reclaim_policy: None,
        storage_class_name: None,
        volume_attributes_class_name: None,
        volume_mode: None,
        ..spec.clone()
    };
    let had_secret = old.csi.as_ref().is_some_and(|csi| csi.controller_expand_secret_ref.is_some());
    if let Some(csi) = source.csi.as_mut().filter(|_| !had_secret) {
        csi.controller_expand_secret_ref = None;
    }
    source
}

fn capacity(capacity: Option<&BTreeMap<String, ApiQuantity>>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let none = BTreeMap::new();
    let amounts = capacity.unwrap_or(&none);
    if amounts.is_empty() {
        errors.push(Error::required(path, ""));
    }
    if !amounts.contains_key("storage") || amounts.len() > 1 {
        errors.push(Error::not_supported(path, Shown::json(&capacity), &["storage"]));
    }
    for (name, amount) in amounts {
        let Ok(parsed) = Quantity::try_from(amount) else { continue };
        if parsed.is_negative() {
            errors.push(Error::invalid(&path.key(name), parsed.value(), "must be a valid resource quantity"));
        }
        if parsed.is_negative() || parsed.is_zero() {
            errors.push(Error::invalid(&path.key(name), &amount.0, "must be greater than zero"));
        }
    }
    errors
}

fn attributes_class(spec: &PersistentVolumeSpec, path: &Path) -> Errors {
    let Some(class) = &spec.volume_attributes_class_name else { return Errors::new() };
    let at = path.child("volumeAttributesClassName");
    let mut errors = Errors::new();
    if class.is_empty() {
        errors.push(Error::required(&at, "an empty string is disallowed"));
    }
    errors.extend(access_modes::class_name(Some(class), &at));
    if spec.csi.is_none() {
        let why = "has to be specified when using volumeAttributesClassName";
        errors.push(Error::required(&path.child("csi"), why));
    }
    errors
}

/// Volumes of the node have no mount options.
fn mount_options(volume: &PersistentVolume) -> Option<Error> {
    let asked = volume.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(MOUNT_OPTIONS));
    let of_node = volume.spec.as_ref().is_some_and(|spec| spec.host_path.is_some() || spec.local.is_some());
    (asked && of_node).then(|| {
        let path = Path::new("metadata").child("annotations").child(MOUNT_OPTIONS);
        Error::forbidden(&path, "may not specify mount options for this volume type")
    })
}

/// Whether the path is that of the whole file system (`path.Clean`).
fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "." | ".."))
}
