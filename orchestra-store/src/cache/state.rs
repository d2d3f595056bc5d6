use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::StreamExt;
use imbl::OrdMap;
use orchestra_core::store::{Event, Key, Revision, StoreError, WatchStream};

use super::{CacheError, CachedEvent, Entry, Snapshot, ring::Ring};

/// The objects as of a revision, and the newest events.
#[derive(Default)]
pub(super) struct State {
    entries: OrdMap<Key, Arc<Entry>>,
    pub(super) revision: Revision,
    /// Whether there was a first list.
    pub(super) listed: bool,
    pub(super) ring: Ring,
    pub(super) feed: Option<WatchStream>,
    /// The cache's own task, to be woken by the store's watch whoever polled it last.
    pub(super) task: Option<Waker>,
}

impl State {
    /// Whether there was a list and the state is at `wanted` or later.
    pub(super) fn has_reached(&self, wanted: Revision) -> bool {
        self.listed && self.revision >= wanted
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.entries.get(key).cloned()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { entries: self.entries.clone(), revision: self.revision }
    }

    /// The state as it was at `revision`, if the events since then are kept: they are taken back one by one.
    pub(super) fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, CacheError> {
        let mut snapshot = self.snapshot();
        for event in self.ring.newer_than(revision)?.rev() {
            snapshot.undo(event);
        }
        snapshot.revision = revision;
        Ok(snapshot)
    }

    /// Applies everything that is ready; the error with which the store's watch ended, if it did.
    pub(super) fn drain(&mut self) -> Option<StoreError> {
        let waker = self.task.clone().unwrap_or_else(|| Waker::noop().clone());
        let mut context = Context::from_waker(&waker);
        loop {
            let feed = self.feed.as_mut()?;
            match feed.poll_next_unpin(&mut context) {
                Poll::Ready(Some(Ok(batch))) => {
                    for event in batch.events {
                        self.apply(event);
                    }
                    self.revision = self.revision.max(batch.revision);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.feed = None;
                    return Some(error);
                }
                Poll::Ready(None) => {
                    self.feed = None;
                    return Some(StoreError::Unavailable("the watch ended".to_owned()));
                }
                Poll::Pending => return None,
            }
        }
    }

    fn apply(&mut self, event: Event) {
        let revision = event.revision();
        let (key, current) = match event {
            Event::Put { current, .. } => (Key::clone(&current.key), Some(Arc::new(Entry::from(current)))),
            Event::Delete { previous, .. } => (previous.key, None),
        };
        let previous = match &current {
            Some(entry) => self.entries.insert(key, Arc::clone(entry)),
            None => self.entries.remove(&key),
        };
        self.revision = revision;
        if let Some(event) = CachedEvent::new(revision, previous, current) {
            self.ring.push(Arc::new(event));
        }
    }

    /// Starts anew from a list and the watch that follows it.
    pub(super) fn reset(&mut self, listed: Snapshot, feed: WatchStream) {
        self.entries = listed.entries;
        self.revision = listed.revision;
        self.listed = true;
        self.ring.reset(listed.revision);
        self.feed = Some(feed);
    }
}
