//! The table of volumes (`printPersistentVolume`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use orchestra_core::persistent_volume::class_of_volume;
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

pub(super) fn cells(volume: &PersistentVolume, now: Timestamp) -> Vec<Value> {
    let metadata = &volume.metadata;
    let none = PersistentVolumeSpec::default();
    let spec = volume.spec.as_ref().unwrap_or(&none);
    let capacity = spec.capacity.as_ref().and_then(|amounts| amounts.get("storage"));
    let claim = spec.claim_ref.as_ref().map(|claim| {
        let (namespace, name) = (claim.namespace.as_deref(), claim.name.as_deref());
        format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
    });
    let phase = if metadata.deletion_timestamp.is_some() { "Terminating" } else { phase(volume) };
    let reason = volume.status.as_ref().and_then(|status| status.reason.as_deref());
    vec![
        json!(metadata.name),
        json!(capacity.map_or("0", |amount| &amount.0)),
        json!(access_modes::short(spec.access_modes.as_ref())),
        json!(spec.persistent_volume_reclaim_policy.as_deref().unwrap_or_default()),
        json!(phase),
        json!(claim.unwrap_or_default()),
        json!(class_of_volume(volume)),
        json!(spec.volume_attributes_class_name.as_deref().unwrap_or(UNSET)),
        json!(reason.unwrap_or_default()),
        json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        json!(spec.volume_mode.as_deref().unwrap_or(UNSET)),
    ]
}

pub(super) const COLUMNS: &[Column] = &[
    column::NAME,
    text(
        "Capacity",
        "capacity is the description of the persistent volume's resources and capacity. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#capacity",
    ),
    text(
        "Access Modes",
        "accessModes contains all ways the volume can be mounted. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes",
    ),
    text(
        "Reclaim Policy",
        "persistentVolumeReclaimPolicy defines what happens to a persistent volume when released from its claim. Valid options are Retain (default for manually created PersistentVolumes), Delete (default for dynamically provisioned PersistentVolumes), and Recycle (deprecated). Recycle must be supported by the volume plugin underlying this PersistentVolume. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming",
    ),
    text(
        "Status",
        "phase indicates if a volume is available, bound to a claim, or released by a claim. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#phase",
    ),
    text(
        "Claim",
        "claimRef is part of a bi-directional binding between PersistentVolume and PersistentVolumeClaim. Expected to be non-nil when bound. claim.VolumeName is the authoritative bind between PV and PVC. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#binding",
    ),
    text("StorageClass", "StorageClass of the pv"),
    text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
    text(
        "Reason",
        "reason is a brief CamelCase string that describes any failure and is meant for machine parsing and tidy display in the CLI.",
    ),
    column::AGE,
    Column {
        name: "VolumeMode",
        kind: "string",
        format: "",
        description: "volumeMode defines if a volume is intended to be used with a formatted filesystem or to remain in raw block state. Value of Filesystem is implied when not included in spec.",
        priority: 1,
    },
];
