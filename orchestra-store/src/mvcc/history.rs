use bytes::Bytes;
use orchestra_core::store::{Key, KeyValue, Revision};

use super::changes::Change;

/// What a key is now, and the way to what it was. It lies in two lines of the processor's caches side by side, with the key itself:
/// among a million keys, reading that is much of what a commit takes. What a search looks at comes first.
#[repr(C, align(128))]
pub(super) struct History {
    pub(super) key: Key,
    hash: u32,
    /// Whether it has a time to live.
    pub(super) expires: bool,
    /// The key's bytes, of one that is not too long for that.
    short: [u8; SHORT],
    /// Its newest change that may be kept, which leads to those before.
    pub(super) changed: Option<Change>,
    pub(super) newest: Version,
}

/// How long a key may be that is written into its history, so that nothing else is read to find it: most of Kubernetes' are.
const SHORT: usize = 51;

impl History {
    /// One of a key that was never there.
    pub(super) fn of(hash: u32, key: &Key) -> Self {
        let mut short = [0; SHORT];
        if let Some(short) = short.get_mut(..key.len()) {
            short.copy_from_slice(key.as_bytes());
        }
        Self { key: Key::clone(key), hash, expires: false, short, changed: None, newest: Version::default() }
    }

    pub(super) fn hash(&self) -> u32 {
        self.hash
    }

    /// Whether it is the history of `key`, which has that hash.
    pub(super) fn is_of(&self, hash: u32, key: &str) -> bool {
        if self.hash != hash || self.key.len() != key.len() {
            return false;
        }
        match self.short.get(..key.len()) {
            Some(short) => short == key.as_bytes(),
            None => *self.key == *key,
        }
    }
}

/// One state of a key. `value` is `None` where the key was deleted, or never there.
#[derive(Default)]
pub(super) struct Version {
    pub(super) revision: Revision,
    pub(super) create_revision: Revision,
    pub(super) value: Option<Bytes>,
}

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
