use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use orchestra_core::store::{Key, KeyValue, Revision};
use parking_lot::Mutex;

use super::form::{Form, Frames};

/// One object as stored, with what readers derive from it.
#[derive(Debug)]
pub struct Entry {
    /// The store's key.
    pub key: Key,
    /// The stored bytes.
    pub value: Bytes,
    /// The revision of its creation.
    pub create_revision: Revision,
    /// The revision of its last change.
    pub revision: Revision,
    attributes: OnceLock<Box<Attributes>>,
}

/// What selectors look at, extracted once by the first that asks. It is the same in all forms of an object.
#[derive(Debug, Default)]
pub struct Attributes {
    /// `metadata.labels`.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The selectable fields of the kind, in the order of its declaration.
    pub fields: Vec<String>,
}

impl Entry {
    /// The attributes; `extract` makes them from the value the first time.
    pub fn attributes(&self, extract: impl FnOnce(&Bytes) -> Attributes) -> &Attributes {
        self.attributes.get_or_init(|| Box::new(extract(&self.value)))
    }
}

impl From<KeyValue> for Entry {
    fn from(entry: KeyValue) -> Self {
        let KeyValue { key, value, create_revision, mod_revision } = entry;
        Self { key, value, create_revision, revision: mod_revision, attributes: OnceLock::new() }
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was created.
    Added,
    /// It was changed.
    Modified,
    /// It was deleted.
    Deleted,
}

/// A change, with its encodings for watchers once one has made them.
#[derive(Debug)]
pub struct CachedEvent {
    /// The revision of the change.
    pub revision: Revision,
    /// The object before; `None` if it was created.
    pub previous: Option<Arc<Entry>>,
    /// The object after; `None` if it was deleted.
    pub current: Option<Arc<Entry>>,
    frames: Mutex<Frames>,
}

impl CachedEvent {
    pub(super) fn new(revision: Revision, previous: Option<Arc<Entry>>, current: Option<Arc<Entry>>) -> Option<Self> {
        // A deletion of what was never there tells nobody anything.
        (previous.is_some() || current.is_some()).then(|| Self {
            revision,
            previous,
            current,
            frames: Mutex::default(),
        })
    }

    /// What happened, for a watcher that sees all objects.
    pub fn kind(&self) -> EventKind {
        match (&self.previous, &self.current) {
            (_, None) => EventKind::Deleted,
            (None, Some(_)) => EventKind::Added,
            (Some(_), Some(_)) => EventKind::Modified,
        }
    }

    /// The object that the event is about: the newest state, or the last one before the deletion.
    pub fn entry(&self) -> &Arc<Entry> {
        match (&self.current, &self.previous) {
            (Some(entry), _) | (None, Some(entry)) => entry,
            (None, None) => unreachable!("an event is made with one of the two"),
        }
    }

    /// The shared encoding for watchers that see all objects in this form; `encode` makes it for the first of them.
    pub fn frame(&self, form: Form, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.frames.lock().get_or_insert_with(form, || encode(self))
    }

    /// Drops the shared encodings: who comes late makes them anew.
    pub(super) fn forget_frames(&self) {
        *self.frames.lock() = Frames::None;
    }

    /// About how much memory the event holds on to by itself.
    pub(super) fn cost(&self) -> usize {
        self.entry().value.len()
    }
}
