//! Volumes and claims as they will be when what the scheduler has decided is written.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orchestra_core::{
    ObjectKey,
    persistent_volume::{SELECTED_NODE, reserve},
    scheduler::{Storage, VolumeChoice},
};

/// A volume or claim that is to be written so.
#[derive(Clone, Debug)]
pub enum Reservation {
    /// A volume with its pointer to a claim.
    Volume(Arc<PersistentVolume>),
    /// A claim with the node for which a volume is to be provisioned.
    Claim(Arc<PersistentVolumeClaim>),
}

impl Reservation {
    /// Whether this is the object as it was before, told of by an API server that does not know of the reservation yet.
    pub fn is_based_on(&self, told: &ObjectMeta) -> bool {
        let base = match self {
            Self::Volume(volume) => &volume.metadata,
            Self::Claim(claim) => &claim.metadata,
        };
        base.uid == told.uid && base.resource_version == told.resource_version
    }
}

/// What the API server last told of the objects that are reserved.
#[derive(Debug, Default)]
pub(super) struct AssumedVolumes {
    volumes: BTreeMap<String, Arc<PersistentVolume>>,
    claims: BTreeMap<ObjectKey, Arc<PersistentVolumeClaim>>,
}

impl AssumedVolumes {
    pub(super) fn reserve(&mut self, storage: &mut Storage, choices: &[VolumeChoice], node: &str) -> Vec<Reservation> {
        choices.iter().filter_map(|choice| self.reserve_one(storage, choice, node)).collect()
    }

    fn reserve_one(&mut self, storage: &mut Storage, choice: &VolumeChoice, node: &str) -> Option<Reservation> {
        match choice {
            VolumeChoice::Bind { claim, volume } => {
                let (claim, told) = (storage.claim(claim)?.clone(), storage.volume(volume)?.clone());
                let reserved = Arc::new(reserve(&told, &claim)?);
                self.volumes.entry(volume.clone()).or_insert(told);
                storage.set_volume(Arc::clone(&reserved));
                Some(Reservation::Volume(reserved))
            }
            VolumeChoice::Provision { claim: key } => {
                let told = storage.claim(key)?.clone();
                let mut reserved = (*told).clone();
                let annotations = reserved.metadata.annotations.get_or_insert_default();
                annotations.insert(SELECTED_NODE.to_owned(), node.to_owned());
                self.claims.entry(key.clone()).or_insert(told);
                let reserved = Arc::new(reserved);
                storage.set_claim(Arc::clone(&reserved));
                Some(Reservation::Claim(reserved))
            }
        }
    }

    pub(super) fn take_back(&mut self, storage: &mut Storage, reservations: &[Reservation]) {
        for reservation in reservations {
            match reservation {
                Reservation::Volume(volume) => {
                    let name = volume.metadata.name.as_deref().unwrap_or_default();
                    if let Some(told) = self.volumes.remove(name) {
                        storage.set_volume(told);
                    }
                }
                Reservation::Claim(claim) => {
                    if let Some(told) = self.claims.remove(&ObjectKey::of(&**claim)) {
                        storage.set_claim(told);
                    }
                }
            }
        }
    }

    pub(super) fn set_volume(&mut self, storage: &mut Storage, volume: Arc<PersistentVolume>) {
        let name = volume.metadata.name.clone().unwrap_or_default();
        match self.volumes.get(&name) {
            // What was told before is told again when watches begin anew.
            Some(told) if told.metadata.resource_version == volume.metadata.resource_version => {}
            _ => {
                self.volumes.remove(&name);
                storage.set_volume(volume);
            }
        }
    }

    pub(super) fn remove_volume(&mut self, storage: &mut Storage, name: &str) {
        self.volumes.remove(name);
        storage.remove_volume(name);
    }

    pub(super) fn set_claim(&mut self, storage: &mut Storage, claim: Arc<PersistentVolumeClaim>) {
        let key = ObjectKey::of(&*claim);
        match self.claims.get(&key) {
            Some(told) if told.metadata.resource_version == claim.metadata.resource_version => {}
            _ => {
                self.claims.remove(&key);
                storage.set_claim(claim);
            }
        }
    }

    pub(super) fn remove_claim(&mut self, storage: &mut Storage, key: &ObjectKey) {
        self.claims.remove(key);
        storage.remove_claim(key);
    }
}
