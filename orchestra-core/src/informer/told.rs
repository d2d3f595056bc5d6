use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use kube::Resource;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Packed, alike::Alike};
use crate::ObjectKey;

/// An object as informers are told of it: decoded once, for all that keep something of it.
pub struct Told<K> {
    key: ObjectKey,
    object: Arc<K>,
    is_kept: bool,
    /// The object as the API server wrote it, if it is the same: taken by who packs it.
    json: Mutex<Option<Box<RawValue>>>,
    packed: OnceLock<Arc<Packed<K>>>,
    /// What it may be like, if what is packed is to take less room for that.
    alike: Option<Arc<Alike>>,
}

impl<K: Resource<DynamicType = ()>> Told<K> {
    /// Tells of `object`. `is_kept` says whether somebody in this process keeps the object itself anyway.
    pub fn new(object: Arc<K>, is_kept: bool) -> Self {
        let key = ObjectKey::of(&*object);
        Self { key, object, is_kept, json: Mutex::new(None), packed: OnceLock::new(), alike: None }
    }

    /// As [`new`](Self::new), of an object that is what the API server wrote.
    pub(super) fn written(object: Arc<K>, json: Box<RawValue>, is_kept: bool) -> Self {
        Self { json: Mutex::new(Some(json)), ..Self::new(object, is_kept) }
    }

    /// The same, packed as what tells it from those that it is like.
    pub(super) fn among(self, alike: Option<&Arc<Alike>>) -> Self {
        Self { alike: alike.cloned(), ..self }
    }

    /// As [`new`](Self::new), of what is packed already.
    pub(super) fn packed_before(packed: Arc<Packed<K>>, object: Arc<K>, is_kept: bool) -> Self {
        Self { packed: OnceLock::from(packed), ..Self::new(object, is_kept) }
    }
}

impl<K> Told<K> {
    /// Namespace and name. Who keeps them does well to keep a clone, which takes no room of its own.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The object. It is gone when all have been told of it, unless somebody keeps it.
    pub fn object(&self) -> &Arc<K> {
        &self.object
    }

    pub(super) fn alike(&self) -> Option<&Alike> {
        self.alike.as_deref()
    }

    pub(super) fn take_json(&self) -> Option<Box<RawValue>> {
        self.json.lock().take()
    }

    /// Whether somebody else in this process keeps the object itself, so that to share it costs nothing.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }
}

impl<K> fmt::Debug for Told<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<K: Resource<DynamicType = ()> + Serialize> Told<K> {
    /// The object in little room; it is packed once for all who want that.
    pub fn packed(&self) -> &Arc<Packed<K>> {
        self.packed.get_or_init(|| Arc::new(Packed::told(self)))
    }
}
