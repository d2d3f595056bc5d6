//! Volumes and claims as they will be when what the scheduler has decided is written.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orchestra_core::{
    ObjectKey,
    informer::{Change, Informed},
    persistent_volume::{SELECTED_NODE, reserve},
    scheduler::{ObjectChange, Objects, Reservation, VolumeChoice},
};

/// What the API server last told of the objects that are reserved.
#[derive(Clone, Debug, Default)]
pub(super) struct AssumedObjects {
    told: Objects,
}

impl AssumedObjects {
    pub(super) fn reserve(&mut self, objects: &mut Objects, choices: &[VolumeChoice], node: &str) -> Vec<Reservation> {
        choices.iter().filter_map(|choice| self.reserve_one(objects, choice, node)).collect()
    }

    fn reserve_one(&mut self, objects: &mut Objects, choice: &VolumeChoice, node: &str) -> Option<Reservation> {
        match choice {
            VolumeChoice::Bind { claim, volume } => {
                let claim = objects.get::<PersistentVolumeClaim>(claim)?;
                let told = objects.get::<PersistentVolume>(&ObjectKey::cluster(volume))?.clone();
                let reserved = reserve(&told, claim)?;
                Some(Reservation::Volume(self.assume(objects, told, reserved)))
            }
            VolumeChoice::Provision { claim } => {
                let told = objects.get::<PersistentVolumeClaim>(claim)?.clone();
                let mut reserved = (*told).clone();
                let annotations = reserved.metadata.annotations.get_or_insert_default();
                if annotations.insert(SELECTED_NODE.to_owned(), node.to_owned()).is_some_and(|old| old == node) {
                    // Another pod that uses the claim has asked for it, or an attempt before this one.
                    return None;
                }
                Some(Reservation::Claim(self.assume(objects, told, reserved)))
            }
        }
    }

    fn assume<K: Informed>(&mut self, objects: &mut Objects, told: Arc<K>, reserved: K) -> Arc<K> {
        if !self.has::<K>(&ObjectKey::of(&*told)) {
            self.told.set(told);
        }
        let reserved = Arc::new(reserved);
        objects.set(Arc::clone(&reserved));
        reserved
    }

    pub(super) fn take_back(&mut self, objects: &mut Objects, reservations: &[Reservation]) -> Vec<ObjectChange> {
        let take_one_back = |reservation: &Reservation| match reservation {
            Reservation::Volume(volume) => self.take_one_back(objects, volume),
            Reservation::Claim(claim) => self.take_one_back(objects, claim),
        };
        reservations.iter().filter_map(take_one_back).collect()
    }

    /// `None` if it holds no longer: somebody else may have reserved the same object since.
    fn take_one_back<K: Informed>(&mut self, objects: &mut Objects, reserved: &Arc<K>) -> Option<ObjectChange> {
        let key = ObjectKey::of(&**reserved);
        objects.get::<K>(&key).filter(|current| Arc::ptr_eq(current, reserved))?;
        let told = self.told.remove::<K>(&key)?;
        objects.set(Arc::clone(&told));
        Some(Change::Updated { old: Arc::clone(reserved), new: told }.into())
    }

    fn has<K: Informed>(&self, key: &ObjectKey) -> bool {
        self.told.get::<K>(key).is_some()
    }

    /// Does to `objects` what the API server tells of, but leaves what is reserved so until a newer state is told.
    pub(super) fn apply(&mut self, objects: &mut Objects, change: &ObjectChange) {
        let is_repeated =
            self.is_repeated::<PersistentVolume>(change) || self.is_repeated::<PersistentVolumeClaim>(change);
        if !is_repeated {
            change.apply(objects);
        }
    }

    /// Whether a reserved object is told of as it was told of before, which happens when watches begin anew. One that is told of as
    /// something else is reserved no longer.
    fn is_repeated<K: Informed>(&mut self, change: &ObjectChange) -> bool {
        let Some(change) = change.of::<K>() else { return false };
        let key = ObjectKey::of(&**change.object());
        let Some(told) = self.told.get::<K>(&key) else { return false };
        let is_repeated = change.new().is_some_and(|new| new.meta().resource_version == told.meta().resource_version);
        if !is_repeated {
            self.told.remove::<K>(&key);
        }
        is_repeated
    }
}
