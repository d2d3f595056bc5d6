use std::{collections::BTreeMap, sync::Arc};

use orchestra_core::{
    ObjectKey,
    informer::{Informed, Informer},
};
use parking_lot::Mutex;

/// The objects of an informer, but not older than the controller's own writes.
///
/// A binding is four writes. Whoever decides by what the informer showed before them begins them anew, and fails.
pub(super) struct Written<K> {
    informer: Informer<K>,
    newer: Mutex<BTreeMap<ObjectKey, Arc<K>>>,
}

impl<K: Informed> Written<K> {
    pub(super) fn new(informer: Informer<K>) -> Self {
        Self { informer, newer: Mutex::default() }
    }

    pub(super) fn informer(&self) -> &Informer<K> {
        &self.informer
    }

    /// The object was written.
    pub(super) fn saw(&self, object: K) -> Arc<K> {
        let object = Arc::new(object);
        self.newer.lock().insert(ObjectKey::of(&*object), Arc::clone(&object));
        object
    }

    /// The object, unless it is gone.
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let told = self.informer.get(key);
        let mut newer = self.newer.lock();
        // What was written was there before, so the informer has forgotten it, not failed to hear of it.
        let is_told = match (&told, newer.get(key)) {
            (Some(told), Some(written)) => version(&**told) >= version(&**written),
            _ => true,
        };
        if is_told {
            newer.remove(key);
            return told;
        }
        newer.get(key).cloned()
    }

    /// All objects, in key order.
    pub(super) fn list(&self) -> Vec<Arc<K>> {
        let told = self.informer.list();
        if self.newer.lock().is_empty() {
            return told;
        }
        told.iter().filter_map(|object| self.get(&ObjectKey::of(&**object))).collect()
    }
}

/// Versions of one resource can be compared as numbers (KEP-5504).
fn version<K: Informed>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}
