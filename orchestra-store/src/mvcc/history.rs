use std::collections::VecDeque;

use bytes::Bytes;
use orchestra_core::store::{Key, KeyValue, Revision};
use tokio::time::Instant;

/// One state of a key; `value` is `None` where the key was deleted.
pub(super) struct Version {
    pub(super) revision: Revision,
    pub(super) create_revision: Revision,
    pub(super) value: Option<Bytes>,
}

/// What a key was, and when it expires. Most keys have one version, which takes no room of its own.
#[derive(Default)]
pub(super) struct History {
    newest: Option<Version>,
    /// Those before the newest, oldest first.
    older: VecDeque<Version>,
    pub(super) expires: Option<Instant>,
}

impl Version {
    /// The key in this state, if it exists.
    pub(super) fn of(&self, key: &Key) -> Option<KeyValue> {
        Some(KeyValue {
            key: Key::clone(key),
            value: self.value.clone()?,
            create_revision: self.create_revision,
            mod_revision: self.revision,
        })
    }
}

impl History {
    pub(super) fn newest(&self) -> Option<&Version> {
        self.newest.as_ref()
    }

    pub(super) fn at(&self, revision: Revision) -> Option<&Version> {
        let newest = self.newest.as_ref()?;
        if newest.revision <= revision {
            return Some(newest);
        }
        let later = self.older.partition_point(|version| version.revision <= revision);
        self.older.get(later.checked_sub(1)?)
    }

    /// Whether there is a version of exactly this revision.
    pub(super) fn holds(&self, revision: Revision) -> bool {
        self.at(revision).is_some_and(|version| version.revision == revision)
    }

    pub(super) fn push(&mut self, version: Version) {
        self.older.extend(self.newest.replace(version));
    }

    /// Forgets the versions before that of `revision`, and that one too if it is a deletion; `false` if nothing is left.
    pub(super) fn forget_before(&mut self, revision: Revision) -> bool {
        let superseded = self.older.partition_point(|version| version.revision < revision);
        self.older.drain(..superseded);
        // A deletion that is not followed by a new creation was the last that needed the key.
        if self.older.front().is_some_and(|version| version.value.is_none()) {
            self.older.pop_front();
        }
        if self.older.is_empty() {
            self.older = VecDeque::new();
            self.newest.take_if(|version| version.value.is_none() && version.revision <= revision);
        } else if self.older.capacity() > 2 * self.older.len() {
            self.older.shrink_to_fit();
        }
        self.newest.is_some()
    }
}
