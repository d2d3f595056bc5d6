//! Where containers see volumes.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::{container::Volumes, paths, required};
use crate::apiserver::field::{Error, Errors, Path};

const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];

pub(super) fn mounts(container: &Container, volumes: &Volumes<'_>, list: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut seen = HashSet::new();
    let devices = || container.volume_devices.iter().flatten();
    let device_names: HashSet<&str> = devices().map(|device| device.name.as_str()).collect();
    let device_paths: HashSet<&str> = devices().map(|device| device.device_path.as_str()).collect();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = list.index(index);
        required(path.child("name"), Some(&mount.name), &mut errors);
        if !volumes.contains(mount.name.as_str()) {
            errors.push(Error::not_found(&path.child("name"), &mount.name));
        }
        required(path.child("mountPath"), Some(&mount.mount_path), &mut errors);
        if !seen.insert(&mount.mount_path) {
            errors.push(Error::invalid(&path.child("mountPath"), &mount.mount_path, "must be unique"));
        }
        if device_names.contains(mount.name.as_str()) {
            errors.push(Error::invalid(&path.child("name"), &mount.name, "must not already exist in volumeDevices"));
        }
        if device_paths.contains(mount.mount_path.as_str()) {
            let why = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&path.child("mountPath"), &mount.mount_path, why));
        }
        // Kubernetes names these fields by the list, without the index.
        below(mount, &path, list, &mut errors);
        propagation(mount, container, list, &mut errors);
        recursively_read_only(mount, &list.child("recursiveReadOnly"), &mut errors);
    }
    errors
}

fn below(mount: &VolumeMount, path: &Path, list: &Path, errors: &mut Errors) {
    if let Some(sub_path) = &mount.sub_path {
        errors.extend(paths::descending(sub_path, &list.child("subPath")));
    }
    if let Some(expression) = &mount.sub_path_expr {
        if mount.sub_path.is_some() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&path.child("subPathExpr"), expression, why));
        }
        errors.extend(paths::descending(expression, &list.child("subPathExpr")));
    }
}

fn propagation(mount: &VolumeMount, container: &Container, list: &Path, errors: &mut Errors) {
    let Some(propagation) = &mount.mount_propagation else { return };
    let path = list.child("mountPropagation");
    if !PROPAGATIONS.contains(&propagation.as_str()) {
        errors.push(Error::not_supported(&path, propagation, &PROPAGATIONS));
    }
    let privileged = container.security_context.as_ref().and_then(|context| context.privileged) == Some(true);
    if propagation == "Bidirectional" && !privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(&path, why));
    }
}

/// Whether what is mounted below may be written follows from whether the mount may be (`validateMountRecursiveReadOnly`).
fn recursively_read_only(mount: &VolumeMount, path: &Path, errors: &mut Errors) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                errors.push(Error::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(path, why));
            }
        }
        Some(other) => errors.push(Error::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

pub(super) fn devices(container: &Container, volumes: &Volumes<'_>, list: &Path) -> Errors {
    let mut errors = Errors::new();
    let (mut names, mut seen) = (HashSet::new(), HashSet::new());
    for (index, device) in container.volume_devices.iter().flatten().enumerate() {
        let path = list.index(index);
        required(path.child("name"), Some(&device.name), &mut errors);
        if !names.insert(&device.name) {
            errors.push(Error::invalid(&path.child("name"), &device.name, "must be unique"));
        }
        if !volumes.contains(device.name.as_str()) {
            errors.push(Error::not_found(&path.child("name"), &device.name));
        }
        required(path.child("devicePath"), Some(&device.device_path), &mut errors);
        if !seen.insert(&device.device_path) {
            errors.push(Error::invalid(&path.child("devicePath"), &device.device_path, "must be unique"));
        }
        errors.extend(paths::no_backsteps(&device.device_path, &path.child("devicePath")));
    }
    errors
}
