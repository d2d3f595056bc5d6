//! The table of claims (`printPersistentVolumeClaim`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus};
use orchestra_core::persistent_volume::class_of_claim;
use serde_json::{Value, json};

use super::phase;
use crate::apiserver::{
    age,
    kinds::{
        access_modes,
        column::{self, UNSET, text},
    },
    strategy::Column,
};

pub(super) fn cells(claim: &PersistentVolumeClaim, now: Timestamp) -> Vec<Value> {
    let metadata = &claim.metadata;
    let (no_spec, no_status) = (PersistentVolumeClaimSpec::default(), PersistentVolumeClaimStatus::default());
    let spec = claim.spec.as_ref().unwrap_or(&no_spec);
    // What the claim has is told once it has a volume.
    let volume = spec.volume_name.as_deref().unwrap_or_default();
    let status = claim.status.as_ref().filter(|_| !volume.is_empty()).unwrap_or(&no_status);
    let capacity = status.capacity.as_ref().and_then(|amounts| amounts.get("storage"));
    let none = if volume.is_empty() { "" } else { "0" };
    let phase = if metadata.deletion_timestamp.is_some() { "Terminating" } else { phase(claim) };
    vec![
        json!(metadata.name),
        json!(phase),
        json!(volume),
        json!(capacity.map_or(none, |amount| &amount.0)),
        json!(access_modes::short(status.access_modes.as_ref())),
        json!(class_of_claim(claim).unwrap_or_default()),
        json!(spec.volume_attributes_class_name.as_deref().unwrap_or(UNSET)),
        json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        json!(spec.volume_mode.as_deref().unwrap_or(UNSET)),
    ]
}

pub(super) const COLUMNS: &[Column] = &[
    column::NAME,
    text("Status", "phase represents the current phase of PersistentVolumeClaim."),
    text("Volume", "volumeName is the binding reference to the PersistentVolume backing this claim."),
    text("Capacity", "capacity represents the actual resources of the underlying volume."),
    text(
        "Access Modes",
        "accessModes contains the actual access modes the volume backing the PVC has. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes-1",
    ),
    text("StorageClass", "StorageClass of the pvc"),
    text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
    column::AGE,
    Column {
        name: "VolumeMode",
        kind: "string",
        format: "",
        description: "volumeMode defines what type of volume is required by the claim. Value of Filesystem is implied when not included in claim spec.",
        priority: 1,
    },
];
