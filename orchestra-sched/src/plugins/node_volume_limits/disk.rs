//! Volumes that are attached to nodes, each known once however many pods use it.

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Volume},
    storage::v1::{StorageClass, VolumeAttachment},
};
use orchestra_core::{
    ObjectKey,
    persistent_volume::{claim_name, class_of_claim, volume_name},
    scheduler::{Objects, PodInfo},
};

use super::{
    super::claims::{find_claim, is_made_for, volumes},
    in_tree,
};

/// A volume, as its CSI driver knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Disk {
    pub(super) driver: String,
    handle: Handle,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Handle {
    /// What the driver calls it.
    Named(String),
    /// It is there once this claim has a volume.
    ToBeMade(ObjectKey),
}

/// What a pod's volume is attached as.
pub(super) enum Attached {
    /// Nothing that counts: no driver attaches it, or it cannot be told which.
    Nothing,
    As(Disk),
    /// The claim that it stands for, by this name, is not there.
    NoClaim(String),
}

impl Disk {
    fn named(driver: &str, handle: String) -> Option<Self> {
        (!driver.is_empty() && !handle.is_empty())
            .then(|| Self { driver: driver.to_owned(), handle: Handle::Named(handle) })
    }

    /// What each of the pod's volumes is attached as.
    pub(super) fn of_pod<'a>(pod: &'a PodInfo, objects: &'a Objects) -> impl Iterator<Item = Attached> + 'a {
        volumes(pod).iter().map(|volume| Self::of_volume(pod, volume, objects))
    }

    fn of_volume(pod: &PodInfo, volume: &Volume, objects: &Objects) -> Attached {
        let Some(name) = claim_name(pod.pod(), volume) else {
            let disk = in_tree::of_pod_volume(volume).and_then(|(driver, handle)| Self::named(driver, handle));
            return disk.map_or(Attached::Nothing, Attached::As);
        };
        let Ok(claim) = find_claim(&name, pod, objects) else { return Attached::NoClaim(name) };
        if volume.persistent_volume_claim.is_none() && !is_made_for(claim, pod) {
            return Attached::Nothing;
        }
        Self::of_claim(claim, objects).map_or(Attached::Nothing, Attached::As)
    }

    fn of_claim(claim: &PersistentVolumeClaim, objects: &Objects) -> Option<Self> {
        let volume = volume_name(claim).and_then(|name| objects.get(&ObjectKey::cluster(name)));
        match volume {
            Some(volume) => Self::of_persistent_volume(volume),
            None => Self::to_be_made(claim, objects),
        }
    }

    fn of_persistent_volume(volume: &PersistentVolume) -> Option<Self> {
        let spec = volume.spec.as_ref()?;
        if let Some(source) = &spec.csi {
            return Self::named(&source.driver, source.volume_handle.clone());
        }
        let (driver, handle) = in_tree::of_persistent_volume(volume)?;
        Self::named(driver, handle)
    }

    /// A claim without volume waits for its first consumer; one of no class has a volume before pods come.
    fn to_be_made(claim: &PersistentVolumeClaim, objects: &Objects) -> Option<Self> {
        let class = class_of_claim(claim).filter(|class| !class.is_empty())?;
        let class = objects.get::<StorageClass>(&ObjectKey::cluster(class))?;
        let driver = in_tree::driver_for(&class.provisioner).unwrap_or(&class.provisioner);
        (!driver.is_empty()).then(|| Self { driver: driver.to_owned(), handle: Handle::ToBeMade(ObjectKey::of(claim)) })
    }

    /// What is attached by `attachment`; only of volumes that are CSI's own it can be told.
    pub(super) fn of_attachment(attachment: &VolumeAttachment, objects: &Objects) -> Option<Self> {
        let name = attachment.spec.source.persistent_volume_name.as_deref()?;
        let volume = objects.get::<PersistentVolume>(&ObjectKey::cluster(name))?;
        let source = volume.spec.as_ref()?.csi.as_ref()?;
        Self::named(&attachment.spec.attacher, source.volume_handle.clone())
    }
}
