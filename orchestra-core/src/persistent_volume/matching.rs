//! Which volume a claim gets.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec};

use super::{class_of_claim, class_of_volume, is_for};
use crate::{quantity::Quantity, selector::label::Selector};

/// How much storage a claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    requests.and_then(|requests| requests.get("storage")?.try_into().ok()).unwrap_or_default()
}

/// Why a volume is not what a claim wants, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It has less storage.
    #[error("requested PV is too small")]
    Size,
    /// It is of another class.
    #[error("storageClassName does not match")]
    StorageClass,
    /// It has other attributes.
    #[error("volumeAttributesClassName does not match")]
    AttributesClass,
    /// One is files, the other a device.
    #[error("incompatible volumeMode")]
    VolumeMode,
    /// It cannot be mounted in all the ways that are asked for.
    #[error("incompatible accessMode")]
    AccessMode,
}

/// What a claim asks of a volume.
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
/// use orchestra_core::persistent_volume::Wanted;
/// let claim: PersistentVolumeClaim = serde_json::from_str(
///     r#"{"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}"#)?;
/// let volume = |size: &str| serde_json::from_str::<PersistentVolume>(&format!(
///     r#"{{"metadata": {{"name": "{size}"}}, "status": {{"phase": "Available"}},
///         "spec": {{"accessModes": ["ReadWriteOnce"], "capacity": {{"storage": "{size}"}}}}}}"#)).map(Arc::new);
/// let volumes = [volume("5Gi")?, volume("2Gi")?, volume("500Mi")?];
/// let smallest = Wanted::by(&claim).best_of(&volumes, false).map(|volume| volume.metadata.name.as_deref());
/// assert_eq!(smallest, Some(Some("2Gi")));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct Wanted<'a> {
    claim: &'a PersistentVolumeClaim,
    size: Quantity,
    class: &'a str,
    modes: &'a [String],
    volume_mode: &'a str,
    attributes: Option<&'a str>,
    /// `None` if it cannot be understood, and nothing matches it.
    selector: Option<Selector>,
}

impl<'a> Wanted<'a> {
    /// Reads a claim.
    pub fn by(claim: &'a PersistentVolumeClaim) -> Self {
        let spec = claim.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.as_ref());
        Self {
            claim,
            size: requested(claim),
            class: class_of_claim(claim).unwrap_or_default(),
            modes: spec.and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default(),
            volume_mode: volume_mode(spec.and_then(|spec| spec.volume_mode.as_deref())),
            attributes: attributes(spec.and_then(|spec| spec.volume_attributes_class_name.as_deref())),
            selector: selector.map_or(Some(Selector::default()), |selector| Selector::try_from(selector).ok()),
        }
    }

    /// Whether the claim can have the volume that it names.
    pub fn check(&self, volume: &PersistentVolume) -> Result<(), Mismatch> {
        self.check_size(volume)?;
        if class_of_volume(volume) != self.class {
            return Err(Mismatch::StorageClass);
        }
        self.check_kind(volume)?;
        self.check_modes(volume)
    }

    /// The volume to bind the claim to, of whatever node: the one that is kept for it, or the one with the fewest ways to mount it, and
    /// of these the smallest. Only a volume that is kept for it, if it `waits` for its first consumer.
    pub fn best_of<'v>(&self, volumes: &'v [Arc<PersistentVolume>], waits: bool) -> Option<&'v Arc<PersistentVolume>> {
        let fitting = || volumes.iter().filter(|volume| self.may_have(volume));
        let kept = fitting().find(|volume| is_for(volume, self.claim) && self.check_modes(volume).is_ok());
        let free = || {
            let free = fitting().filter(|volume| self.may_take(volume));
            free.min_by_key(|volume| (access_modes(volume).len(), capacity(volume), volume.metadata.name.clone()))
        };
        if waits { kept } else { kept.or_else(free) }
    }

    /// The volumes that the claim can be bound to when its pod runs on a node that reaches them, the best first: only the one that is
    /// kept for it, if there is one; else those that are free, the smaller ones first.
    pub fn candidates<'v>(
        &self,
        volumes: impl Iterator<Item = &'v Arc<PersistentVolume>>,
    ) -> Vec<&'v Arc<PersistentVolume>> {
        let mut free = Vec::new();
        for volume in volumes.filter(|volume| self.may_have(volume)) {
            if is_for(volume, self.claim) {
                return vec![volume];
            }
            if self.may_take(volume) {
                free.push(volume);
            }
        }
        free.sort_by_cached_key(|volume| capacity(volume));
        free
    }

    /// What holds for volumes that are free and for those that are kept for the claim.
    fn may_have(&self, volume: &PersistentVolume) -> bool {
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        (reference.is_none() || is_for(volume, self.claim))
            && volume.metadata.deletion_timestamp.is_none()
            && self.check_size(volume).is_ok()
            && self.check_kind(volume).is_ok()
    }

    /// What holds for volumes that are free.
    fn may_take(&self, volume: &PersistentVolume) -> bool {
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none())
            && phase == Some("Available")
            && class_of_volume(volume) == self.class
            && self.check_modes(volume).is_ok()
            && self.selector.as_ref().is_some_and(|all| all.matches_optional(volume.metadata.labels.as_ref()))
    }

    fn check_size(&self, volume: &PersistentVolume) -> Result<(), Mismatch> {
        if capacity(volume) < self.size { Err(Mismatch::Size) } else { Ok(()) }
    }

    fn check_kind(&self, volume: &PersistentVolume) -> Result<(), Mismatch> {
        let field = |get: fn(&PersistentVolumeSpec) -> Option<&String>| volume.spec.as_ref().and_then(get);
        if attributes(field(|spec| spec.volume_attributes_class_name.as_ref()).map(String::as_str)) != self.attributes {
            return Err(Mismatch::AttributesClass);
        }
        let mode = volume_mode(field(|spec| spec.volume_mode.as_ref()).map(String::as_str));
        if mode == self.volume_mode { Ok(()) } else { Err(Mismatch::VolumeMode) }
    }

    fn check_modes(&self, volume: &PersistentVolume) -> Result<(), Mismatch> {
        let has = access_modes(volume);
        if self.modes.iter().all(|mode| has.contains(mode)) { Ok(()) } else { Err(Mismatch::AccessMode) }
    }
}

fn access_modes(volume: &PersistentVolume) -> &[String] {
    volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default()
}

fn capacity(volume: &PersistentVolume) -> Quantity {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage")?.try_into().ok());
    capacity.unwrap_or_default()
}

fn volume_mode(mode: Option<&str>) -> &str {
    mode.unwrap_or("Filesystem")
}

/// None and the empty name say the same.
fn attributes(class: Option<&str>) -> Option<&str> {
    class.filter(|class| !class.is_empty())
}
