use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::StreamExt;
use imbl::OrdMap;
use orchestra_core::store::{Event, Key, Revision, StoreError, WatchStream};
use parking_lot::Mutex;

use super::{CacheError, CachedEvent, Entry, Snapshot, ring::Ring};

/// The objects as of a revision, and the newest events.
#[derive(Default)]
pub(super) struct State {
    entries: OrdMap<Key, Arc<Entry>>,
    pub(super) revision: Revision,
    /// Whether there was a first list.
    pub(super) listed: bool,
    pub(super) ring: Ring,
    /// Its lock is never waited for, and taken only by the way: who drains it has the state alone, and readers leave it.
    pub(super) feed: Option<Mutex<WatchStream>>,
    /// Why there is no feed, or no list.
    pub(super) failure: Option<StoreError>,
    /// The cache's own task, to be woken by the store's watch whoever polled it last.
    pub(super) task: Option<Waker>,
}

impl State {
    /// Whether the store has objects here that cannot be read.
    pub(super) fn is_unreadable(&self) -> bool {
        !self.listed && matches!(self.failure, Some(StoreError::Corrupt { .. }))
    }

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

    /// The events after `revision`, if all of them are kept.
    pub(super) fn newer_than(&self, revision: Revision) -> Result<Vec<Arc<CachedEvent>>, CacheError> {
        Ok(self.ring.newer_than(revision)?.cloned().collect())
    }

    /// Applies everything that is ready; `false` if the store's watch has ended.
    pub(super) fn drain(&mut self) -> bool {
        let waker = self.task.clone().unwrap_or_else(|| Waker::noop().clone());
        let mut context = Context::from_waker(&waker);
        loop {
            let Some(feed) = &mut self.feed else { return false };
            match feed.get_mut().poll_next_unpin(&mut context) {
                Poll::Ready(Some(Ok(batch))) => {
                    for event in batch.events {
                        self.apply(event);
                    }
                    self.revision = self.revision.max(batch.revision);
                }
                Poll::Ready(ended) => {
                    let error = ended.and_then(Result::err);
                    self.failure = error.or_else(|| Some(StoreError::Unavailable("the watch ended".to_owned())));
                    self.feed = None;
                    return false;
                }
                Poll::Pending => return true,
            }
        }
    }

    /// The revision to go on after, if what came then can be had: not if it is gone, nor if it cannot be read.
    pub(super) fn resumable(&self) -> Option<Revision> {
        let is_lost = matches!(
            self.failure,
            Some(StoreError::Compacted { .. } | StoreError::FutureRevision { .. } | StoreError::Corrupt { .. })
        );
        (self.listed && !is_lost).then_some(self.revision)
    }

    /// Notes why the store cannot be followed. Where it has what cannot be read, nobody is left to wait for what cannot come.
    pub(super) fn fail(&mut self, error: StoreError) {
        if matches!(error, StoreError::Corrupt { .. }) {
            self.listed = false;
            self.ring.reset(self.revision);
        }
        self.failure = Some(error);
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
        self.feed = Some(Mutex::new(feed));
        self.failure = None;
    }
}
