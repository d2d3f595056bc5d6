//! Volumes and what they are made of.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, NFSVolumeSource, Volume};
use orchestra_core::quantity::Quantity;

use super::{env, invalid, one_of, paths, projected, required, storage};
use crate::apiserver::{
    field::{Error, Errors, Path},
    kinds::pod::volume_sources,
    validation::name,
};

const HOST_PATHS: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// The fields that a file may have.
const FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Checks the volumes; gives the names of those that are right, which are the ones that containers may mount.
pub(super) fn volumes<'a>(volumes: &'a [Volume], path: &Path, errors: &mut Errors) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let mut found = source(volume, &path);
        let name_path = path.child("name");
        match volume.name.as_str() {
            "" => found.push(Error::required(&name_path, "")),
            name => found.extend(invalid(&name_path, name, name::label(name, false))),
        }
        if names.contains(volume.name.as_str()) {
            found.push(Error::duplicate(&name_path, &volume.name));
        }
        if found.is_empty() {
            names.insert(volume.name.as_str());
        }
        errors.extend(found);
    }
    names
}

/// Tokens are of a service account, so there must be one.
pub(super) fn tokens(volumes: &[Volume], path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (index, volume) in volumes.iter().enumerate() {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for (source, _) in sources.enumerate().filter(|(_, source)| source.service_account_token.is_some()) {
            let path = path.index(index).child("projected").child("sources").index(source).child("serviceAccountToken");
            errors.push(Error::forbidden(&path, "must not be specified when serviceAccountName is not set"));
        }
    }
    errors
}

/// A volume of an image needs one; in a template it may be filled in later.
pub(super) fn images(volumes: &[Volume], path: &Path) -> Errors {
    let lacks = |volume: &Volume| {
        volume.image.as_ref().is_some_and(|image| image.reference.as_deref().is_none_or(str::is_empty))
    };
    let without = volumes.iter().enumerate().filter(|(_, volume)| lacks(volume));
    without.map(|(index, _)| Error::required(&path.index(index).child("image").child("reference"), "")).collect()
}

fn source(volume: &Volume, path: &Path) -> Errors {
    let sources = volume_sources::of(volume);
    let Some((&first, others)) = sources.split_first() else {
        return vec![Error::required(path, "must specify a volume type")];
    };
    let mut errors = checked(volume, first, path);
    for other in others {
        errors.push(Error::forbidden(&path.child(other), "may not specify more than 1 volume type"));
    }
    errors
}

/// The checks of one source.
fn checked(volume: &Volume, source: &str, volume_path: &Path) -> Errors {
    let mut errors = storage::validate(volume, source, volume_path);
    let path = &volume_path.child(source);
    match source {
        "emptyDir" => {
            let limit = volume.empty_dir.as_ref().and_then(|directory| directory.size_limit.as_ref());
            if limit.and_then(|limit| limit.0.parse::<Quantity>().ok()).is_some_and(Quantity::is_negative) {
                let why = "SizeLimit field must be a valid resource quantity";
                errors.push(Error::forbidden(&path.child("sizeLimit"), why));
            }
        }
        "secret" => {
            let Some(secret) = &volume.secret else { return errors };
            required(path.child("secretName"), secret.secret_name.as_deref(), &mut errors);
            errors.extend(paths::mode(secret.default_mode, &path.child("defaultMode")));
            keys(secret.items.as_deref(), path, &mut errors);
        }
        "configMap" => {
            let Some(config_map) = &volume.config_map else { return errors };
            required(path.child("name"), Some(&config_map.name), &mut errors);
            errors.extend(paths::mode(config_map.default_mode, &path.child("defaultMode")));
            keys(config_map.items.as_deref(), path, &mut errors);
        }
        "downwardAPI" => {
            let Some(downward) = &volume.downward_api else { return errors };
            errors.extend(paths::mode(downward.default_mode, &path.child("defaultMode")));
            for file in downward.items.iter().flatten() {
                downward_file(file, path, &mut errors);
            }
        }
        "projected" => errors.extend(volume.projected.iter().flat_map(|source| projected::projected(source, path))),
        _ => elsewhere(volume, source, path, &mut errors),
    }
    errors
}

/// Volumes whose contents lie outside the API.
fn elsewhere(volume: &Volume, source: &str, path: &Path, errors: &mut Errors) {
    match source {
        "hostPath" => {
            let Some(host) = &volume.host_path else { return };
            host_path(host, path, errors);
        }
        "nfs" => {
            let Some(share) = &volume.nfs else { return };
            nfs(share, path, errors);
        }
        "persistentVolumeClaim" => {
            let claim = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.as_str());
            required(path.child("claimName"), claim, errors);
        }
        "csi" => required(path.child("driver"), volume.csi.as_ref().map(|csi| csi.driver.as_str()), errors),
        "ephemeral" if volume.ephemeral.as_ref().is_some_and(|source| source.volume_claim_template.is_none()) => {
            errors.push(Error::required(&path.child("volumeClaimTemplate"), ""));
        }
        "image" => {
            let Some(image) = &volume.image else { return };
            let policy = image.pull_policy.as_ref();
            one_of(&path.child("pullPolicy"), policy, &["Always", "IfNotPresent", "Never"], errors);
        }
        _ => {}
    }
}

/// A path of the node.
pub(in crate::apiserver::kinds) fn host_path(host: &HostPathVolumeSource, path: &Path, errors: &mut Errors) {
    if host.path.is_empty() {
        errors.push(Error::required(&path.child("path"), ""));
        return;
    }
    errors.extend(paths::no_backsteps(&host.path, &path.child("path")));
    let kind = host.type_.as_deref().unwrap_or_default();
    if !HOST_PATHS.contains(&kind) {
        errors.push(Error::not_supported(&path.child("type"), kind, &HOST_PATHS));
    }
}

/// A share of a file server.
pub(in crate::apiserver::kinds) fn nfs(share: &NFSVolumeSource, path: &Path, errors: &mut Errors) {
    required(path.child("server"), Some(&share.server), errors);
    required(path.child("path"), Some(&share.path), errors);
    if !share.path.starts_with('/') {
        errors.push(Error::invalid(&path.child("path"), &share.path, "must be an absolute path"));
    }
}

/// Which keys become which files.
pub(super) fn keys(items: Option<&[KeyToPath]>, path: &Path, errors: &mut Errors) {
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let path = path.child("items").index(index);
        required(path.child("key"), Some(&item.key), errors);
        required(path.child("path"), Some(&item.path), errors);
        errors.extend(paths::not_reserved(&item.path, &path.child("path")));
        errors.extend(paths::mode(item.mode, &path.child("mode")));
    }
}

/// A file with something that the pod knows of itself; Kubernetes names its fields without an index.
pub(super) fn downward_file(file: &DownwardAPIVolumeFile, path: &Path, errors: &mut Errors) {
    required(path.child("path"), Some(&file.path), errors);
    errors.extend(paths::not_reserved(&file.path, &path.child("path")));
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            errors.extend(env::field_ref(field, &FIELDS, &path.child("fieldRef")));
            if resource.is_some() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", why));
            }
        }
        (None, Some(resource)) => {
            errors.extend(env::resource_ref(resource, true, &path.child("resourceFieldRef")));
        }
        (None, None) => errors.push(Error::required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    errors.extend(paths::mode(file.mode, &path.child("mode")));
}
