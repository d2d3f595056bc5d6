//! Volumes' defaults.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, EmptyDirVolumeSource, Volume, VolumeProjection};

use super::{container::field_ref, empty, or, pull_policy, quantities};
use crate::apiserver::kinds::pod::volume_sources;

/// Files of secrets, config maps and projections: `0644`.
const FILE_MODE: i32 = 0o644;
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn volume(volume: &mut Volume) {
    if volume_sources::of(volume).is_empty() {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    files(volume);
    if let Some(directory) = &mut volume.empty_dir {
        empty(&mut directory.medium);
        directory.size_limit.iter_mut().for_each(quantities::canonical);
    }
    if let Some(path) = &mut volume.host_path {
        path.type_.get_or_insert_default();
    }
    if let Some(image) = &mut volume.image {
        or(&mut image.pull_policy, pull_policy(image.reference.as_deref().unwrap_or_default()));
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|source| source.volume_claim_template.as_mut()) {
        or(&mut template.spec.volume_mode, "Filesystem");
    }
    disks(volume);
}

fn files(volume: &mut Volume) {
    if let Some(secret) = &mut volume.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(config) = &mut volume.config_map {
        config.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        downward.items.iter_mut().flatten().for_each(file);
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        projected.sources.iter_mut().flatten().for_each(projection);
    }
}

fn projection(source: &mut VolumeProjection) {
    if let Some(token) = &mut source.service_account_token {
        token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
        empty(&mut token.audience);
    }
    if let Some(downward) = &mut source.downward_api {
        downward.items.iter_mut().flatten().for_each(file);
    }
}

fn file(file: &mut DownwardAPIVolumeFile) {
    if let Some(field) = &mut file.field_ref {
        field_ref(field);
    }
    if let Some(resource) = &mut file.resource_field_ref {
        quantities::divisor(resource);
    }
}

/// Network disks.
fn disks(volume: &mut Volume) {
    if let Some(iscsi) = &mut volume.iscsi {
        or(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut volume.rbd {
        or(&mut rbd.pool, "rbd");
        or(&mut rbd.user, "admin");
        or(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(disk) = &mut volume.azure_disk {
        disk.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
        disk.kind.get_or_insert_with(|| "Shared".to_owned());
        disk.fs_type.get_or_insert_with(|| "ext4".to_owned());
        disk.read_only.get_or_insert(false);
    }
    if let Some(scale_io) = &mut volume.scale_io {
        or(&mut scale_io.storage_mode, "ThinProvisioned");
        or(&mut scale_io.fs_type, "xfs");
    }
}
