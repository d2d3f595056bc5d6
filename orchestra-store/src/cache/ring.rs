use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::Waker,
};

use orchestra_core::store::{KeyRange, Revision};

use super::{CacheError, CachedEvent};

/// The most events that are kept for watchers that start late or lag, and the most bytes of objects in them.
const MAX_EVENTS: usize = 8_192;
const MAX_BYTES: usize = 16 << 20;

/// Of how many events the encoding is kept: watchers that keep up share it, and an event is kept for much longer than they
/// need to read it.
const FRAMED: usize = 1_024;

/// The newest events, and the watchers that read them, each at its own position.
#[derive(Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<CachedEvent>>,
    bytes: usize,
    /// The position of the first event. Positions only grow, also over resets.
    first: u64,
    /// Events after this revision are here.
    complete_after: Revision,
    next_watcher: u64,
    watchers: BTreeMap<u64, Place>,
    /// Whether something happened that sleeping watchers do not know.
    news: bool,
    /// Whether nothing will come any more.
    closed: bool,
}

/// What a watcher found.
pub(super) enum Read {
    /// What there is, which may be nothing.
    Events,
    /// Events were dropped that it had not read; what is kept came after this revision.
    Lagged(Revision),
    Closed,
}

struct Place {
    range: KeyRange,
    next: u64,
    /// Of a watcher that sleeps: it has read everything.
    waker: Option<Waker>,
}

impl Ring {
    pub(super) fn push(&mut self, event: Arc<CachedEvent>) {
        self.bytes += event.cost();
        self.events.push_back(event);
        self.news = true;
        if let Some(old) = self.events.len().checked_sub(FRAMED).and_then(|last| self.events.get(last)) {
            old.forget_frames();
        }
        while self.events.len() > MAX_EVENTS || (self.bytes > MAX_BYTES && self.events.len() > 1) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.bytes -= oldest.cost();
            self.complete_after = oldest.revision;
            self.first += 1;
        }
    }

    /// Forgets the events up to `revision`.
    pub(super) fn forget(&mut self, revision: Revision) {
        while self.events.front().is_some_and(|oldest| oldest.revision <= revision) {
            self.forget_oldest();
        }
        self.complete_after = self.complete_after.max(revision);
        // Who waits is not to wait for what is gone.
        self.news = true;
    }

    /// Forgets everything: watchers are behind and end, new ones start at `revision`.
    pub(super) fn reset(&mut self, revision: Revision) {
        self.first += self.events.len() as u64 + 1;
        self.events.clear();
        self.bytes = 0;
        self.complete_after = revision;
        self.news = true;
    }

    /// Ends all watchers.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.news = true;
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(super) fn position_after(&self, revision: Revision) -> Result<u64, CacheError> {
        Ok(self.first + self.offset_after(revision)? as u64)
    }

    /// The events after `revision`, if all of them are kept.
    pub(super) fn newer_than(&self, revision: Revision) -> Result<impl Iterator<Item = &Arc<CachedEvent>>, CacheError> {
        Ok(self.events.range(self.offset_after(revision)?..))
    }

    fn offset_after(&self, revision: Revision) -> Result<usize, CacheError> {
        if revision < self.complete_after {
            return Err(CacheError::Expired { requested: revision, oldest: self.complete_after });
        }
        Ok(self.events.partition_point(|event| event.revision <= revision))
    }

    pub(super) fn join(&mut self, range: KeyRange, position: u64) -> u64 {
        let id = self.next_watcher;
        self.next_watcher += 1;
        self.watchers.insert(id, Place { range, next: position, waker: None });
        id
    }

    pub(super) fn leave(&mut self, watcher: u64) {
        self.watchers.remove(&watcher);
    }

    /// Up to `limit` events for the watcher, into `into`, and those of the last one's revision: a watcher that loses what comes
    /// next has seen whole revisions.
    pub(super) fn read(&mut self, watcher: u64, limit: usize, into: &mut VecDeque<Arc<CachedEvent>>) -> Read {
        let Some(place) = self.watchers.get_mut(&watcher).filter(|_| !self.closed) else { return Read::Closed };
        let Some(start) = place.next.checked_sub(self.first) else { return Read::Lagged(self.complete_after) };
        let start = start as usize;
        let mut end = self.events.len().min(start + limit);
        while end > start
            && let (Some(last), Some(next)) = (self.events.get(end - 1), self.events.get(end))
            && last.revision == next.revision
        {
            end += 1;
        }
        into.extend(self.events.range(start..end).cloned());
        place.next += (end - start) as u64;
        Read::Events
    }

    /// The revision of the first event that the watcher has not read; `None` if it has read all.
    pub(super) fn unread(&self, watcher: u64) -> Option<Revision> {
        let place = self.watchers.get(&watcher)?;
        match place.next.checked_sub(self.first) {
            Some(offset) => self.events.get(offset as usize).map(|event| event.revision),
            // It lost events: nothing can be said but that it knows nothing of the first one.
            None => Some(0),
        }
    }

    pub(super) fn sleep(&mut self, watcher: u64, waker: &Waker) {
        if let Some(place) = self.watchers.get_mut(&watcher) {
            place.waker = Some(waker.clone());
        }
    }

    /// The wakers of the sleeping watchers that the news concerns, in the order they joined. For the others it counts as read.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        if !std::mem::take(&mut self.news) {
            return Vec::new();
        }
        let end = self.end();
        let Self { events, first, watchers, closed, .. } = self;
        let concerned = |place: &Place| match place.next.checked_sub(*first) {
            Some(offset) => {
                *closed || events.range(offset as usize..).any(|event| place.range.contains(&event.entry().key))
            }
            None => true,
        };
        let mut wakers = Vec::new();
        for place in watchers.values_mut().filter(|place| place.waker.is_some()) {
            if concerned(place) {
                wakers.extend(place.waker.take());
            } else {
                place.next = end;
            }
        }
        wakers
    }
}
