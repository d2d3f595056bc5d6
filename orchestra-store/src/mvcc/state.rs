use std::{collections::BTreeSet, ops::Bound, sync::Arc, time::Duration};

use bytes::Bytes;
use orchestra_core::store::{
    Event, Key, KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, StoreError, Transaction,
};
use tokio::time::Instant;

use super::{
    Batch, Publisher,
    changes::Changes,
    history::{History, Version},
    keys::{Keys, Slot},
    write::{Put, Write, check, require_key},
};

/// All keys with their histories, at a revision.
pub(crate) struct State {
    publisher: Publisher,
    revision: Revision,
    /// The oldest revision whose state can be read.
    oldest: Revision,
    keys: Keys,
    changes: Changes,
    expiries: BTreeSet<(Instant, Key)>,
    forgotten: Forgotten,
}

/// What is no longer kept.
#[derive(Default)]
pub(crate) struct Forgotten {
    _batches: Vec<Arc<Batch>>,
}

impl State {
    /// No keys at revision 0. What is committed is told to the watchers of `publisher`, and kept as long as it keeps it.
    pub(crate) fn new(publisher: Publisher) -> Self {
        Self::beginning_after(0, publisher)
    }

    fn beginning_after(revision: Revision, publisher: Publisher) -> Self {
        Self {
            publisher,
            revision,
            oldest: 0,
            keys: Keys::default(),
            changes: Changes::before(revision + 1),
            expiries: BTreeSet::new(),
            forgotten: Forgotten::default(),
        }
    }

    /// The state of a history that is kept from `oldest` on: just before it there are `entries`, each with what is left of its
    /// time to live. `publisher` begins there too. What follows is to be applied.
    pub(crate) fn restored(
        publisher: Publisher,
        oldest: Revision,
        entries: impl Iterator<Item = (KeyValue, Option<Duration>)>,
    ) -> Self {
        let mut state = Self { oldest, ..Self::beginning_after(oldest.saturating_sub(1), publisher) };
        for (KeyValue { key, value, create_revision, mod_revision }, ttl) in entries {
            let expires = ttl.and_then(expiry);
            state.expiries.extend(expires.map(|at| (at, Key::clone(&key))));
            let place = state.keys.place_or_insert(&key);
            let history = &mut state.keys[place].history;
            history.newest = Version { revision: mod_revision, create_revision, value: Some(value) };
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

    /// The revision of the oldest change of `key` that is still there, whether it can be read or only be told as what was before.
    pub(crate) fn oldest_of(&self, key: &str) -> Option<Revision> {
        let Slot { history, .. } = self.keys.get(key)?;
        Some(self.changes.oldest_of(history.changed).unwrap_or(history.newest.revision))
    }

    pub(crate) fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        require_key(key)?;
        let revision = self.readable(at)?;
        Ok(self.keys.get(key).and_then(|slot| self.at(slot, revision)).map(Seen::to_key_value))
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
            .take_while(|slot| range.end().is_none_or(|end| &*slot.key < end))
            .filter_map(|slot| self.at(slot, revision));
        let limit = options.limit.unwrap_or(usize::MAX);
        let page = entries.by_ref().take(limit).map(Seen::to_key_value).collect();
        Ok(Page { entries: page, revision, remaining: entries.count() })
    }

    /// What is in the slot at `revision`, if the key exists then.
    fn at<'a>(&'a self, Slot { key, history }: &'a Slot, revision: Revision) -> Option<Seen<'a>> {
        let History { newest, changed, .. } = history;
        if newest.revision <= revision {
            Some(Seen::Now { key, version: newest, value: newest.value.as_ref()? })
        } else {
            self.changes.at(*changed, revision).map(Seen::Then)
        }
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
            let at = (revision, events.len());
            match put {
                Some(Put { value, ttl }) => events.push(self.put(key, value, ttl.and_then(expiry), at)),
                None => events.extend(self.delete(&key, at)),
            }
        }
        self.publish(revision, events);
    }

    /// The key as it is now.
    pub(super) fn latest(&self, key: &str) -> Option<KeyValue> {
        let Slot { key, history } = self.keys.get(key)?;
        history.newest.of(key)
    }

    /// Puts, as the event of that place.
    fn put(&mut self, key: Key, value: Bytes, expires: Option<Instant>, at: (Revision, usize)) -> Event {
        let place = self.keys.place_or_insert(&key);
        let history = &mut self.keys[place].history;
        let (revision, previous) = (at.0, history.newest.take(&key));
        let create_revision = previous.as_ref().map_or(revision, |previous| previous.create_revision);
        history.newest = Version { revision, create_revision, value: Some(value.clone()) };
        history.changed = Some(self.changes.note(at, history.changed, None));
        if let Some(old) = std::mem::replace(&mut history.expires, expires) {
            self.expiries.remove(&(old, Key::clone(&key)));
        }
        if let Some(expires) = expires {
            self.expiries.insert((expires, Key::clone(&key)));
        }
        Event::Put { current: KeyValue { key, value, create_revision, mod_revision: revision }, previous }
    }

    /// Deletes, as the event of that place, what is there.
    fn delete(&mut self, key: &str, at: (Revision, usize)) -> Option<Event> {
        let place = self.keys.place_of(key)?;
        let Slot { key, history } = &mut self.keys[place];
        let (revision, previous) = (at.0, history.newest.take(key)?);
        history.newest = Version { revision, create_revision: 0, value: None };
        history.changed = Some(self.changes.note(at, history.changed, Some(place)));
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
        let batch = Arc::new(Batch::new(revision, events));
        self.changes.push(Arc::clone(&batch));
        let forgotten = self.publisher.publish(batch);
        self.forget(forgotten);
    }

    pub(crate) fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(StoreError::FutureRevision { requested: revision, current: self.revision });
        }
        let forgotten = self.publisher.compact(revision);
        self.forget(forgotten);
        self.oldest = self.oldest.max(revision);
        Ok(())
    }

    /// Drops the versions that the oldest batches superseded, which the publisher keeps no more.
    fn forget(&mut self, batches: Vec<Arc<Batch>>) {
        let Self { changes, keys, .. } = self;
        let mut forgotten = Vec::with_capacity(2 * batches.len());
        for batch in batches {
            let deletion = |place, revision| {
                // A deletion that is not followed by a new creation was the last that needed the key.
                if keys[place].history.newest.is_deletion_of(revision) {
                    keys.remove(place);
                }
            };
            forgotten.extend(changes.forget_oldest(deletion));
            forgotten.push(batch);
            self.oldest = changes.first_revision();
        }
        self.forgotten = Forgotten { _batches: forgotten };
    }

    /// What the last change made the state forget. It takes time to drop, as nobody has touched it for long: for who has unlocked
    /// the state.
    pub(crate) fn take_forgotten(&mut self) -> Forgotten {
        std::mem::take(&mut self.forgotten)
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

/// A key as it was seen.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Now { key: &'a Key, version: &'a Version, value: &'a Bytes },
    Then(&'a KeyValue),
}

impl Seen<'_> {
    fn to_key_value(self) -> KeyValue {
        match self {
            Self::Now { key, version: Version { revision, create_revision, .. }, value } => KeyValue {
                key: Key::clone(key),
                value: value.clone(),
                create_revision: *create_revision,
                mod_revision: *revision,
            },
            Self::Then(then) => then.clone(),
        }
    }
}
