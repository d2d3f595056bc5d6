use bytes::Bytes;
use orchestra_core::store::{Key, KeyValue, Revision};

use super::changes::Change;

/// What a key is now, and the way to what it was. It lies in one line of the processor's caches: among a million keys, reading that is
/// much of what a commit takes.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct History {
    pub(super) newest: Version,
    /// Its newest change that may be kept, which leads to those before.
    pub(super) changed: Option<Change>,
    /// Whether it has a time to live.
    pub(super) expires: bool,
}

/// One state of a key. `value` is `None` where the key was deleted, or never there.
#[derive(Default)]
pub(super) struct Version {
    pub(super) revision: Revision,
    pub(super) create_revision: Revision,
    pub(super) value: Option<Bytes>,
}

const _: () = assert!(size_of::<History>() <= 64);

impl Version {
    /// The key in this state, if it exists.
    pub(super) fn of(&self, key: &Key) -> Option<KeyValue> {
        self.value.clone().map(|value| self.with(key, value))
    }

    /// As [`of`](Self::of), for a state that is superseded: its value is taken out. That of a key that was not touched for long is far
    /// away, as is the count of who shares it.
    pub(super) fn take(&mut self, key: &Key) -> Option<KeyValue> {
        self.value.take().map(|value| self.with(key, value))
    }

    pub(super) fn is_deletion_of(&self, revision: Revision) -> bool {
        self.value.is_none() && self.revision == revision
    }

    pub(super) fn with(&self, key: &Key, value: Bytes) -> KeyValue {
        KeyValue { key: Key::clone(key), value, create_revision: self.create_revision, mod_revision: self.revision }
    }
}
