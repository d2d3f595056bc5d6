//! Fan-out of commits to watchers. Watchers of one range share one queue and keep a cursor each; a commit touches only the
//! feeds whose range it changes, found by the prefixes of its keys, so idle watchers of other ranges cost nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::Waker,
};

use orchestra_core::store::{Key, KeyRange, Revision};
use parking_lot::Mutex;

use super::Batch;

/// The queue of one watched range.
pub(super) struct Feed {
    pub(super) range: KeyRange,
    queue: Mutex<Queue>,
}

struct Queue {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    /// The sequence number of the first batch.
    first: u64,
    /// The length at which consumed batches are next looked for.
    trim_at: usize,
    next_watcher: u64,
    watchers: BTreeMap<u64, Cursor>,
    /// Whether its watchers wait to be told how far they are, be it that nothing happened in the range.
    awaits_progress: bool,
    ended: Option<End>,
}

struct Cursor {
    next: u64,
    waker: Option<Waker>,
}

/// What a watcher found in its feed.
pub(super) enum Polled {
    Batches(Vec<Arc<Batch>>),
    Nothing,
    /// Batches were dropped that the watcher had not read.
    Lagged,
    /// Everything was read, and no more will come.
    Ended(End),
}

/// Why nothing more comes in a feed.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// What happened next was missed; what happened after this revision will be known again.
    Missed(Revision),
    /// The store is gone.
    Closed,
}

const FIRST_TRIM: usize = 64;

impl Feed {
    fn new(range: KeyRange) -> Self {
        let queue = Queue {
            batches: VecDeque::new(),
            bytes: 0,
            first: 0,
            trim_at: 1,
            next_watcher: 0,
            watchers: BTreeMap::new(),
            awaits_progress: false,
            ended: None,
        };
        Self { range, queue: Mutex::new(queue) }
    }

    fn join(&self) -> u64 {
        let mut queue = self.queue.lock();
        let id = queue.next_watcher;
        queue.next_watcher += 1;
        let next = queue.first + queue.batches.len() as u64;
        queue.watchers.insert(id, Cursor { next, waker: None });
        id
    }

    /// Removes the watcher; `true` if the feed lives and has no other.
    fn leave(&self, watcher: u64) -> bool {
        let mut queue = self.queue.lock();
        queue.watchers.remove(&watcher);
        queue.watchers.is_empty() && queue.ended.is_none()
    }

    /// Notes that the watchers wait for progress; `true` if that was not so before.
    pub(super) fn await_progress(&self) -> bool {
        !std::mem::replace(&mut self.queue.lock().awaits_progress, true)
    }

    /// Has all its watchers woken, to find out how far they are.
    pub(super) fn wake(&self, wakers: &mut Vec<Waker>) {
        let mut queue = self.queue.lock();
        queue.awaits_progress = false;
        wakers.extend(queue.watchers.values_mut().filter_map(|cursor| cursor.waker.take()));
    }

    fn end(&self, end: End, wakers: &mut Vec<Waker>) {
        let mut queue = self.queue.lock();
        queue.ended = Some(end);
        wakers.extend(queue.watchers.values_mut().filter_map(|cursor| cursor.waker.take()));
    }

    /// Up to `limit` batches that the watcher has not seen.
    pub(super) fn poll(&self, watcher: u64, limit: usize) -> Polled {
        let mut queue = self.queue.lock();
        let Queue { batches, first, watchers, ended, .. } = &mut *queue;
        let Some(cursor) = watchers.get_mut(&watcher) else { return Polled::Lagged };
        if cursor.next < *first {
            return Polled::Lagged;
        }
        let start = (cursor.next - *first) as usize;
        let end = batches.len().min(start + limit);
        if start == end {
            return ended.map_or(Polled::Nothing, Polled::Ended);
        }
        cursor.next += (end - start) as u64;
        Polled::Batches(batches.range(start..end).cloned().collect())
    }

    /// Has `waker` woken by the next batch; `false` if there is one already, or none will come.
    pub(super) fn wait(&self, watcher: u64, waker: &Waker) -> bool {
        let mut queue = self.queue.lock();
        let end = queue.first + queue.batches.len() as u64;
        if queue.ended.is_some() {
            return false;
        }
        let Some(cursor) = queue.watchers.get_mut(&watcher) else { return false };
        if cursor.next != end {
            return false;
        }
        cursor.waker = Some(waker.clone());
        true
    }

    fn push(&self, batch: Arc<Batch>, capacity: Capacity, wakers: &mut Vec<Waker>) {
        let mut queue = self.queue.lock();
        queue.bytes += batch.bytes();
        queue.batches.push_back(batch);
        if queue.batches.len() >= queue.trim_at || queue.bytes > capacity.bytes {
            queue.trim(capacity);
        }
        wakers.extend(queue.watchers.values_mut().filter_map(|cursor| cursor.waker.take()));
    }
}

impl Queue {
    /// Drops what every watcher has read, and what exceeds `capacity`.
    fn trim(&mut self, capacity: Capacity) {
        let end = self.first + self.batches.len() as u64;
        // Watchers that have lost batches already will read no more.
        let cursors = self.watchers.values().map(|cursor| cursor.next).filter(|next| *next >= self.first);
        let read_by_all = cursors.min().unwrap_or(end);
        while let Some(batch) = self.batches.front()
            && (self.first < read_by_all
                || self.batches.len() > capacity.batches
                || (self.bytes > capacity.bytes && self.batches.len() > 1))
        {
            self.bytes -= batch.bytes();
            self.batches.pop_front();
            self.first += 1;
        }
        let most = capacity.batches.saturating_add(1);
        self.trim_at = (2 * self.batches.len()).clamp(FIRST_TRIM.min(most), most);
    }
}

/// How far a feed's slowest watcher may lag.
#[derive(Clone, Copy)]
pub(super) struct Capacity {
    batches: usize,
    bytes: usize,
}

impl Capacity {
    pub(super) fn new(batches: usize, bytes: usize) -> Self {
        Self { batches: batches.max(1), bytes }
    }
}

/// All feeds, findable by key.
pub(super) struct Feeds {
    capacity: Capacity,
    /// Feeds of ranges in which every key begins with the range's start.
    by_prefix: BTreeMap<Key, Vec<Arc<Feed>>>,
    /// How many feeds of `by_prefix` have a prefix of this length.
    lengths: BTreeMap<usize, usize>,
    /// All others.
    general: Vec<Arc<Feed>>,
    wakers: Vec<Waker>,
}

impl Feeds {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { capacity, by_prefix: BTreeMap::new(), lengths: BTreeMap::new(), general: Vec::new(), wakers: Vec::new() }
    }

    pub(super) fn has_wakers(&self) -> bool {
        !self.wakers.is_empty()
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    pub(super) fn publish(&mut self, batch: &Arc<Batch>) {
        let mut touched: Vec<Arc<Feed>> = Vec::new();
        for key in batch.keys() {
            let key: &str = key;
            let prefixed = self
                .lengths
                .keys()
                .filter_map(|length| key.get(..*length))
                .filter_map(|prefix| self.by_prefix.get(prefix));
            for feed in prefixed.flatten().chain(&self.general) {
                if feed.range.contains(key) && !touched.iter().any(|other| Arc::ptr_eq(other, feed)) {
                    touched.push(Arc::clone(feed));
                }
            }
        }
        for feed in touched {
            feed.push(Arc::clone(batch), self.capacity, &mut self.wakers);
        }
    }

    /// Ends all feeds; those that come later are new.
    pub(super) fn end(&mut self, end: End) {
        let prefixed = std::mem::take(&mut self.by_prefix).into_values().flatten();
        for feed in prefixed.chain(std::mem::take(&mut self.general)) {
            feed.end(end, &mut self.wakers);
        }
        self.lengths.clear();
    }

    /// A place for a new watcher of `range`: its feed, and its number there.
    pub(super) fn subscribe(&mut self, range: KeyRange) -> (Arc<Feed>, u64) {
        let prefixed = is_prefixed(&range);
        let same_start =
            if prefixed { self.by_prefix.entry(range.start().into()).or_default() } else { &mut self.general };
        let feed = match same_start.iter().find(|feed| feed.range == range) {
            Some(feed) => Arc::clone(feed),
            None => {
                let length = range.start().len();
                let feed = Arc::new(Feed::new(range));
                same_start.push(Arc::clone(&feed));
                if prefixed {
                    *self.lengths.entry(length).or_default() += 1;
                }
                feed
            }
        };
        let watcher = feed.join();
        (feed, watcher)
    }

    pub(super) fn unsubscribe(&mut self, feed: &Arc<Feed>, watcher: u64) {
        if !feed.leave(watcher) {
            return;
        }
        if !is_prefixed(&feed.range) {
            self.general.retain(|other| !Arc::ptr_eq(other, feed));
            return;
        }
        let start = feed.range.start();
        if let Some(same_start) = self.by_prefix.get_mut(start) {
            same_start.retain(|other| !Arc::ptr_eq(other, feed));
            if same_start.is_empty() {
                self.by_prefix.remove(start);
            }
        }
        if let Some(count) = self.lengths.get_mut(&start.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&start.len());
            }
        }
    }
}

/// Whether every key of `range` begins with its start, so that a key's prefixes find it.
fn is_prefixed(range: &KeyRange) -> bool {
    KeyRange::prefix(range.start()).covers(range)
}
