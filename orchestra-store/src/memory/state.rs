use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    ops::Bound,
    sync::Arc,
    task::Waker,
};

use bytes::Bytes;
use orchestra_core::store::{
    Change, Event, Key, KeyRange, KeyValue, ListOptions, Operation, Page, Precondition, ReadAt, Revision, StoreError,
    Transaction,
};
use tokio::time::Instant;

use super::{
    MemoryStoreOptions,
    feed::{Batch, Feed, Feeds, Subscribed},
};

/// One state of a key; `value` is `None` where the key was deleted.
struct Version {
    revision: Revision,
    create_revision: Revision,
    value: Option<Bytes>,
}

/// A key's history, oldest first, and when it expires.
#[derive(Default)]
struct History {
    versions: VecDeque<Version>,
    expires: Option<Instant>,
}

impl History {
    fn at(&self, revision: Revision) -> Option<&Version> {
        let newest = self.versions.back()?;
        if newest.revision <= revision {
            return Some(newest);
        }
        let later = self.versions.partition_point(|version| version.revision <= revision);
        self.versions.get(later.checked_sub(1)?)
    }
}

pub(super) struct State {
    options: MemoryStoreOptions,
    revision: Revision,
    /// The oldest revision whose state can be read.
    oldest: Revision,
    keys: BTreeMap<Key, History>,
    expiries: BTreeSet<(Instant, Key)>,
    /// Every batch from `oldest` on.
    log: VecDeque<Arc<Batch>>,
    log_bytes: usize,
    feeds: Feeds,
}

impl State {
    pub(super) fn new(options: MemoryStoreOptions) -> Self {
        Self {
            options,
            revision: 0,
            oldest: 0,
            keys: BTreeMap::new(),
            expiries: BTreeSet::new(),
            log: VecDeque::new(),
            log_bytes: 0,
            feeds: Feeds::new(options.watch_lag, options.retained_bytes),
        }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        self.feeds.take_wakers()
    }

    pub(super) fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        require_key(key)?;
        let revision = self.readable(at)?;
        Ok(self.keys.get_key_value(key).and_then(|(key, history)| entry(key, history.at(revision)?)))
    }

    pub(super) fn list(&self, range: &KeyRange, options: &ListOptions) -> Result<Page, StoreError> {
        let revision = self.readable(options.at)?;
        if options.limit == Some(0) {
            return Err(StoreError::InvalidArgument("a page's limit must not be zero".to_owned()));
        }
        let start = match options.after.as_deref() {
            Some(after) if after >= range.start() => Bound::Excluded(after),
            _ => Bound::Included(range.start()),
        };
        let mut entries = self
            .keys
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| range.end().is_none_or(|end| &***key < end))
            .filter_map(|(key, history)| Some((key, history.at(revision)?)))
            .filter(|(_, version)| version.value.is_some());
        let limit = options.limit.unwrap_or(usize::MAX);
        let page = entries.by_ref().take(limit).filter_map(|(key, version)| entry(key, version)).collect();
        Ok(Page { entries: page, revision, remaining: entries.count() })
    }

    /// The revision to read at, if it is there.
    fn readable(&self, at: ReadAt) -> Result<Revision, StoreError> {
        match at {
            ReadAt::Latest => Ok(self.revision),
            ReadAt::Revision(requested) if requested < self.oldest => {
                Err(StoreError::Compacted { requested, oldest: self.oldest })
            }
            ReadAt::Revision(requested) if requested > self.revision => {
                Err(StoreError::FutureRevision { requested, current: self.revision })
            }
            ReadAt::Revision(requested) => Ok(requested),
        }
    }

    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<Revision, StoreError> {
        let operations = transaction.into_operations();
        self.check(&operations)?;
        let revision = self.revision + 1;
        let mut events = Vec::with_capacity(operations.len());
        for operation in operations {
            match operation.change {
                Change::Nothing => {}
                Change::Put { value, ttl } => {
                    // A time to live beyond what the clock can tell is one that never ends.
                    let expires = ttl.and_then(|ttl| Instant::now().checked_add(ttl));
                    events.push(self.put(operation.key, value, expires, revision));
                }
                Change::Delete => events.extend(self.delete(&operation.key, revision)),
            }
        }
        self.publish(revision, events);
        Ok(self.revision)
    }

    fn check(&self, operations: &[Operation]) -> Result<(), StoreError> {
        let mut keys = HashSet::with_capacity(operations.len());
        for operation in operations {
            require_key(&operation.key)?;
            if !keys.insert(&operation.key) {
                return Err(StoreError::InvalidArgument(format!("key {} occurs twice", operation.key)));
            }
        }
        for operation in operations {
            if operation.precondition == Precondition::None {
                continue;
            }
            let current = self.get(&operation.key, ReadAt::Latest)?;
            let holds = match operation.precondition {
                Precondition::None => true,
                Precondition::Absent => current.is_none(),
                Precondition::Exists => current.is_some(),
                Precondition::Unchanged(revision) => current.as_ref().is_some_and(|c| c.mod_revision == revision),
            };
            if !holds {
                let (key, expected) = (Key::clone(&operation.key), operation.precondition);
                return Err(StoreError::Conflict { key, expected, current });
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Key, value: Bytes, expires: Option<Instant>, revision: Revision) -> Event {
        let history = self.keys.entry(Key::clone(&key)).or_default();
        let previous = history.versions.back().and_then(|version| entry(&key, version));
        let create_revision = previous.as_ref().map_or(revision, |previous| previous.create_revision);
        history.versions.push_back(Version { revision, create_revision, value: Some(value.clone()) });
        if let Some(old) = std::mem::replace(&mut history.expires, expires) {
            self.expiries.remove(&(old, Key::clone(&key)));
        }
        if let Some(expires) = expires {
            self.expiries.insert((expires, Key::clone(&key)));
        }
        Event::Put { current: KeyValue { key, value, create_revision, mod_revision: revision }, previous }
    }

    fn delete(&mut self, key: &str, revision: Revision) -> Option<Event> {
        let (key, history) = self.keys.get_key_value(key)?;
        let previous = entry(key, history.versions.back()?)?;
        let history = self.keys.get_mut(&previous.key)?;
        history.versions.push_back(Version { revision, create_revision: 0, value: None });
        if let Some(expires) = history.expires.take() {
            self.expiries.remove(&(expires, Key::clone(&previous.key)));
        }
        Some(Event::Delete { previous, revision })
    }

    /// Makes `events` the batch of `revision`; nothing happens without events.
    fn publish(&mut self, revision: Revision, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let batch = Arc::new(Batch { revision, events });
        self.revision = revision;
        self.feeds.publish(&batch);
        self.log_bytes += batch.bytes();
        self.log.push_back(batch);
        let MemoryStoreOptions { retained_revisions, retained_bytes, .. } = self.options;
        while self.log.len() > retained_revisions.max(1) || (self.log_bytes > retained_bytes && self.log.len() > 1) {
            self.forget_oldest();
        }
    }

    pub(super) fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(StoreError::FutureRevision { requested: revision, current: self.revision });
        }
        while self.log.front().is_some_and(|batch| batch.revision < revision) {
            self.forget_oldest();
        }
        self.oldest = self.oldest.max(revision);
        Ok(())
    }

    /// Drops the oldest batch, and with it the versions that it superseded.
    fn forget_oldest(&mut self) {
        let Some(batch) = self.log.pop_front() else { return };
        self.log_bytes -= batch.bytes();
        self.oldest = batch.revision + 1;
        for event in &batch.events {
            let Some(history) = self.keys.get_mut(event.key()) else { continue };
            let kept_from = history.versions.partition_point(|version| version.revision < batch.revision);
            history.versions.drain(..kept_from);
            // A deletion that is not followed by a new creation was the last that needed the key.
            if history.versions.front().is_some_and(|version| version.value.is_none()) {
                history.versions.pop_front();
            }
            if history.versions.is_empty() {
                self.keys.remove(event.key());
            } else if history.versions.capacity() > 2 * history.versions.len() {
                history.versions.shrink_to_fit();
            }
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    pub(super) fn expiry_is_due(&self) -> bool {
        self.next_expiry().is_some_and(|at| at <= Instant::now())
    }

    /// Deletes what is past its time to live, each key at a revision of its own.
    pub(super) fn expire(&mut self) {
        if !self.expiry_is_due() {
            return;
        }
        let now = Instant::now();
        while self.next_expiry().is_some_and(|at| at <= now) {
            let Some((_, key)) = self.expiries.pop_first() else { return };
            let revision = self.revision + 1;
            let event = self.delete(&key, revision);
            self.publish(revision, event.into_iter().collect());
        }
    }

    pub(super) fn subscribe(&mut self, range: KeyRange, after: Revision) -> Result<Subscribed, StoreError> {
        if after > self.revision {
            return Err(StoreError::FutureRevision { requested: after, current: self.revision });
        }
        if after + 1 < self.oldest {
            return Err(StoreError::Compacted { requested: after, oldest: self.oldest });
        }
        let first = self.log.partition_point(|batch| batch.revision <= after);
        let backlog = self.log.range(first..).filter(|batch| batch.touches(&range)).cloned().collect();
        Ok(self.feeds.subscribe(range, backlog))
    }

    pub(super) fn unsubscribe(&mut self, feed: &Arc<Feed>, watcher: u64) {
        self.feeds.unsubscribe(feed, watcher);
    }
}

fn require_key(key: &str) -> Result<(), StoreError> {
    if key.is_empty() {
        return Err(StoreError::InvalidArgument("a key must not be empty".to_owned()));
    }
    Ok(())
}

fn entry(key: &Key, version: &Version) -> Option<KeyValue> {
    Some(KeyValue {
        key: Key::clone(key),
        value: version.value.clone()?,
        create_revision: version.create_revision,
        mod_revision: version.revision,
    })
}
