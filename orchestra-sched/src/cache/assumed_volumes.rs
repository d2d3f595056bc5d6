//! Volumes and claims as they will be when what the scheduler has decided is written.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orchestra_core::{
    ObjectKey,
    persistent_volume::{SELECTED_NODE, reserve},
    scheduler::{ClusterEvent, Storage, VolumeChoice},
};

/// A volume or claim that is to be written so.
#[derive(Clone, Debug)]
pub enum Reservation {
    /// A volume with its pointer to a claim.
    Volume(Arc<PersistentVolume>),
    /// A claim with the node for which a volume is to be provisioned.
    Claim(Arc<PersistentVolumeClaim>),
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
                if annotations.insert(SELECTED_NODE.to_owned(), node.to_owned()).is_some_and(|old| old == node) {
                    // Another pod that uses the claim has asked for it, or an attempt before this one.
                    return None;
                }
                self.claims.entry(key.clone()).or_insert(told);
                let reserved = Arc::new(reserved);
                storage.set_claim(Arc::clone(&reserved));
                Some(Reservation::Claim(reserved))
            }
        }
    }

    pub(super) fn take_back(&mut self, storage: &mut Storage, reservations: &[Reservation]) -> Vec<ClusterEvent> {
        reservations.iter().filter_map(|reservation| self.take_one_back(storage, reservation)).collect()
    }

    /// `None` if it holds no longer: somebody else may have reserved the same object since.
    fn take_one_back(&mut self, storage: &mut Storage, reservation: &Reservation) -> Option<ClusterEvent> {
        match reservation {
            Reservation::Volume(volume) => {
                let name = volume.metadata.name.as_deref().unwrap_or_default();
                storage.volume(name).filter(|current| Arc::ptr_eq(current, volume))?;
                let told = self.volumes.remove(name)?;
                storage.set_volume(told.clone());
                Some(ClusterEvent::VolumeChanged(told))
            }
            Reservation::Claim(claim) => {
                let key = ObjectKey::of(&**claim);
                storage.claim(&key).filter(|current| Arc::ptr_eq(current, claim))?;
                let told = self.claims.remove(&key)?;
                storage.set_claim(told.clone());
                Some(ClusterEvent::ClaimChanged(told))
            }
        }
    }

    pub(super) fn has_volume(&self, name: &str) -> bool {
        self.volumes.contains_key(name)
    }

    pub(super) fn has_claim(&self, key: &ObjectKey) -> bool {
        self.claims.contains_key(key)
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
