use std::sync::Arc;

use imbl::OrdMap;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::Resource;

use crate::ObjectKey;

/// Claims, volumes and storage classes at one moment.
///
/// A clone costs nothing and does not change any more, as that of the [`Snapshot`](super::Snapshot) that it is part of.
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::PersistentVolume;
/// use orchestra_core::scheduler::Storage;
/// let mut volume = PersistentVolume::default();
/// volume.metadata.name = Some("v".to_owned());
/// let mut storage = Storage::default();
/// storage.set_volume(Arc::new(volume));
/// assert!(storage.volume("v").is_some() && storage.volume("w").is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Storage {
    claims: OrdMap<ObjectKey, Arc<PersistentVolumeClaim>>,
    volumes: OrdMap<String, Arc<PersistentVolume>>,
    classes: OrdMap<String, Arc<StorageClass>>,
}

impl Storage {
    /// The claim with this key.
    pub fn claim(&self, key: &ObjectKey) -> Option<&Arc<PersistentVolumeClaim>> {
        self.claims.get(key)
    }

    /// The volume called `name`.
    pub fn volume(&self, name: &str) -> Option<&Arc<PersistentVolume>> {
        self.volumes.get(name)
    }

    /// All volumes, in order of their names.
    pub fn volumes(&self) -> impl Iterator<Item = &Arc<PersistentVolume>> {
        self.volumes.values()
    }

    /// The storage class called `name`.
    pub fn class(&self, name: &str) -> Option<&Arc<StorageClass>> {
        self.classes.get(name)
    }

    /// Adds a claim, in the place of the one of its name.
    pub fn set_claim(&mut self, claim: Arc<PersistentVolumeClaim>) {
        self.claims.insert(ObjectKey::of(&*claim), claim);
    }

    /// Takes a claim out.
    pub fn remove_claim(&mut self, key: &ObjectKey) {
        self.claims.remove(key);
    }

    /// Adds a volume, in the place of the one of its name.
    pub fn set_volume(&mut self, volume: Arc<PersistentVolume>) {
        self.volumes.insert(name(&*volume), volume);
    }

    /// Takes a volume out.
    pub fn remove_volume(&mut self, name: &str) {
        self.volumes.remove(name);
    }

    /// Adds a storage class, in the place of the one of its name.
    pub fn set_class(&mut self, class: Arc<StorageClass>) {
        self.classes.insert(name(&*class), class);
    }

    /// Takes a storage class out.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }
}

fn name(object: &impl Resource) -> String {
    object.meta().name.clone().unwrap_or_default()
}
