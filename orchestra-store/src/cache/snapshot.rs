use std::sync::Arc;

use imbl::OrdMap;
use orchestra_core::store::{Key, KeyRange, Revision};

use super::{CachedEvent, Entry};

/// A consistent view of the resource at one revision. Cheap to take and to clone; later changes do not show.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) entries: OrdMap<Key, Arc<Entry>>,
    /// The revision of the view.
    pub revision: Revision,
}

impl Snapshot {
    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// The entries of `range` in key order.
    pub fn range<'a>(&'a self, range: &'a KeyRange) -> impl Iterator<Item = &'a Arc<Entry>> + 'a {
        let first: Key = range.start().into();
        self.entries
            .range(first..)
            .take_while(|(key, _)| range.end().is_none_or(|end| &***key < end))
            .map(|(_, entry)| entry)
    }

    /// How many entries there are in all.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes back an event, the newest one of the view.
    pub(super) fn undo(&mut self, event: &CachedEvent) {
        let key = Key::clone(&event.entry().key);
        match &event.previous {
            Some(previous) => self.entries.insert(key, Arc::clone(previous)),
            None => self.entries.remove(&key),
        };
    }
}
