use std::{collections::BTreeSet, ops::Bound, time::Duration};

use bytes::Bytes;
use orchestra_core::store::{
    Event, Key, KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, StoreError, Transaction,
};
use tokio::time::Instant;

use super::{
    Batch, Publisher,
    history::Version,
    keys::Keys,
    write::{Put, Write, check, require_key},
};

/// All keys with their histories, at a revision.
pub(crate) struct State {
    publisher: Publisher,
    revision: Revision,
    /// The oldest revision whose state can be read.
    oldest: Revision,
    keys: Keys,
    expiries: BTreeSet<(Instant, Key)>,
}

impl State {
    /// No keys at revision 0. What is committed is told to the watchers of `publisher`, and kept as long as it keeps it.
    pub(crate) fn new(publisher: Publisher) -> Self {
        Self { publisher, revision: 0, oldest: 0, keys: Keys::default(), expiries: BTreeSet::new() }
    }

    /// The state of a history that is kept from `oldest` on: just before it there are `entries`, each with what is left of its
    /// time to live. `publisher` begins there too. What follows is to be applied.
    pub(crate) fn restored(
        publisher: Publisher,
        oldest: Revision,
        entries: impl Iterator<Item = (KeyValue, Option<Duration>)>,
    ) -> Self {
        let mut state = Self { revision: oldest.saturating_sub(1), oldest, ..Self::new(publisher) };
        for (KeyValue { key, value, create_revision, mod_revision }, ttl) in entries {
            let expires = ttl.and_then(expiry);
            state.expiries.extend(expires.map(|at| (at, Key::clone(&key))));
            let history = state.keys.get_or_insert(&key);
            history.push(Version { revision: mod_revision, create_revision, value: Some(value) });
            history.expires = expires;
        }
        state
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be read.
    pub(crate) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// Whether the change that `revision` made of `key` is still there.
    pub(crate) fn holds(&self, key: &str, revision: Revision) -> bool {
        self.keys.get(key).is_some_and(|(_, history)| history.holds(revision))
    }

    pub(crate) fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        require_key(key)?;
        let revision = self.readable(at)?;
        Ok(self.keys.get(key).and_then(|(key, history)| history.at(revision)?.of(key)))
    }

    pub(crate) fn list(&self, range: &KeyRange, options: &ListOptions) -> Result<Page, StoreError> {
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
            .from(start)
            .take_while(|(key, _)| range.end().is_none_or(|end| &***key < end))
            .filter_map(|(key, history)| Some((key, history.at(revision)?)))
            .filter(|(_, version)| version.value.is_some());
        let limit = options.limit.unwrap_or(usize::MAX);
        let page = entries.by_ref().take(limit).filter_map(|(key, version)| version.of(key)).collect();
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

    pub(crate) fn commit(&mut self, transaction: Transaction) -> Result<Revision, StoreError> {
        let operations = transaction.into_operations();
        check(&operations, |key| self.latest(key))?;
        self.apply(self.revision + 1, operations.into_iter().filter_map(Write::of));
        Ok(self.revision)
    }

    /// Makes `writes` the batch of `revision`, the next one; nothing happens if they change nothing.
    pub(crate) fn apply(&mut self, revision: Revision, writes: impl IntoIterator<Item = Write>) {
        let writes = writes.into_iter();
        let mut events = Vec::with_capacity(writes.size_hint().1.unwrap_or_default());
        for Write { key, put } in writes {
            match put {
                Some(Put { value, ttl }) => events.push(self.put(key, value, ttl.and_then(expiry), revision)),
                None => events.extend(self.delete(&key, revision)),
            }
        }
        self.publish(revision, events);
    }

    /// The key as it is now.
    pub(super) fn latest(&self, key: &str) -> Option<KeyValue> {
        let (key, history) = self.keys.get(key)?;
        history.newest()?.of(key)
    }

    fn put(&mut self, key: Key, value: Bytes, expires: Option<Instant>, revision: Revision) -> Event {
        let history = self.keys.get_or_insert(&key);
        let previous = history.newest().and_then(|version| version.of(&key));
        let create_revision = previous.as_ref().map_or(revision, |previous| previous.create_revision);
        history.push(Version { revision, create_revision, value: Some(value.clone()) });
        if let Some(old) = std::mem::replace(&mut history.expires, expires) {
            self.expiries.remove(&(old, Key::clone(&key)));
        }
        if let Some(expires) = expires {
            self.expiries.insert((expires, Key::clone(&key)));
        }
        Event::Put { current: KeyValue { key, value, create_revision, mod_revision: revision }, previous }
    }

    fn delete(&mut self, key: &str, revision: Revision) -> Option<Event> {
        let previous = self.latest(key)?;
        let history = self.keys.get_mut(&previous.key)?;
        history.push(Version { revision, create_revision: 0, value: None });
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
        self.revision = revision;
        for batch in self.publisher.publish(revision, events) {
            self.forget(&batch);
        }
    }

    pub(crate) fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(StoreError::FutureRevision { requested: revision, current: self.revision });
        }
        for batch in self.publisher.compact(revision) {
            self.forget(&batch);
        }
        self.oldest = self.oldest.max(revision);
        Ok(())
    }

    /// Drops the versions that the oldest batch superseded.
    fn forget(&mut self, batch: &Batch) {
        self.oldest = batch.revision + 1;
        for event in &batch.events {
            if self.keys.get_mut(event.key()).is_some_and(|history| !history.forget_before(batch.revision)) {
                self.keys.remove(event.key());
            }
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    pub(crate) fn expiry_is_due(&self) -> bool {
        self.next_expiry().is_some_and(|at| at <= Instant::now())
    }

    /// Deletes what is past its time to live, each key at a revision of its own.
    pub(crate) fn expire(&mut self) {
        for key in self.due() {
            self.apply(self.revision + 1, [Write { key, put: None }]);
        }
    }

    /// The keys that are past their time to live, in the order in which it ended.
    pub(super) fn due(&self) -> Vec<Key> {
        if self.expiries.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        self.expiries.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| Key::clone(key)).collect()
    }
}

/// A time to live beyond what the clock can tell is one that never ends.
fn expiry(ttl: Duration) -> Option<Instant> {
    Instant::now().checked_add(ttl)
}
