//! PersistentVolumes (`pkg/registry/core/persistentvolume`).

mod columns;
mod node_affinity;
mod source;
mod validation;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::PersistentVolume, apimachinery::pkg::apis::meta::v1::Time};
use orchestra_core::persistent_volume::BETA_CLASS;
use serde_json::Value;

use super::{access_modes::FILESYSTEM, pod};
use crate::apiserver::{
    field::Errors,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The annotation that asked for mount options before there was a field.
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";

/// The rules of persistent volumes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PersistentVolumes;

/// The row of persistent volumes.
pub fn row() -> Resource {
    new_row(PersistentVolumes)
        .cluster_scoped()
        .short_names(&["pv"])
        .subresources(&[Subresource::Status])
        .returns_deleted()
}

impl Strategy for PersistentVolumes {
    type Object = PersistentVolume;
    type Wire = PersistentVolume;

    fn default(&self, volume: &mut PersistentVolume) {
        let spec = volume.spec.get_or_insert_default();
        spec.persistent_volume_reclaim_policy.get_or_insert_with(|| "Retain".to_owned());
        spec.volume_mode.get_or_insert_with(|| FILESYSTEM.to_owned());
        pod::resource_list(&mut spec.capacity);
        source::default(spec);
        pending(volume);
    }

    fn prepare_for_create(&self, ctx: &RequestContext, volume: &mut PersistentVolume) {
        volume.status = None;
        pending(volume);
        volume.status.get_or_insert_default().last_phase_transition_time = Some(Time(ctx.now));
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut PersistentVolume, old: &PersistentVolume) {
        new.status = old.status.clone();
    }

    fn validate(&self, _ctx: &RequestContext, volume: &PersistentVolume) -> Errors {
        validation::validate(volume)
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &PersistentVolume, old: &PersistentVolume) -> Errors {
        validation::validate_update(new, old)
    }

    fn prepare_for_status_update(&self, ctx: &RequestContext, new: &mut PersistentVolume, old: &PersistentVolume) {
        new.spec = old.spec.clone();
        let since = old.status.as_ref().and_then(|status| status.last_phase_transition_time.as_ref());
        let changes = phase(new) != phase(old);
        let status = new.status.get_or_insert_default();
        if changes
            && (status.last_phase_transition_time.is_none() || status.last_phase_transition_time.as_ref() == since)
        {
            status.last_phase_transition_time = Some(Time(ctx.now));
        }
    }

    fn warnings(&self, _ctx: &RequestContext, new: &PersistentVolume, _old: Option<&PersistentVolume>) -> Vec<String> {
        let annotations = new.metadata.annotations.as_ref();
        let annotated = |key: &str| annotations.is_some_and(|all| all.contains_key(key));
        let policy = new.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        let found = [
            annotated(BETA_CLASS).then(|| {
                format!(r#"metadata.annotations[{BETA_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead"#)
            }),
            annotated(MOUNT_OPTIONS).then(|| {
                format!(r#"metadata.annotations[{MOUNT_OPTIONS}]: deprecated since v1.31; use "mountOptions" attribute instead"#)
            }),
            (policy == Some("Recycle")).then(|| {
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".to_owned()
            }),
        ];
        found.into_iter().flatten().collect()
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, volume: &PersistentVolume, now: Timestamp) -> Vec<Value> {
        columns::cells(volume, now)
    }
}

fn phase(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn pending(volume: &mut PersistentVolume) {
    let phase = volume.status.get_or_insert_default().phase.get_or_insert_default();
    if phase.is_empty() {
        "Pending".clone_into(phase);
    }
}

#[cfg(test)]
mod tests;
