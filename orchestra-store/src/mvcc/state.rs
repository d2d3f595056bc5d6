use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use orchestra_core::store::{Event, Key, KeyValue, Revision, StoreError, Transaction};
use tokio::time::Instant;

use super::{
    Batch, Forgotten, Publisher,
    batch::Events,
    changes::Changes,
    expiries::Expiries,
    history::Version,
    keys::Keys,
    write::{Put, Write, check},
};

/// How many keys expire at one revision at most, if they do at once: as many as etcd changes in a transaction. With a revision for each
/// key, watchers that did nothing wrong would lag too far behind when thousands do.
const EXPIRE_TOGETHER: usize = 128;

/// All keys with their histories, at a revision. How it is read is in a file of its own.
pub(crate) struct State {
    publisher: Publisher,
    pub(super) revision: Revision,
    /// The oldest revision whose state can be read.
    pub(super) oldest: Revision,
    pub(super) keys: Keys,
    pub(super) changes: Changes,
    expiries: Expiries,
    forgotten: Forgotten,
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
            expiries: Expiries::default(),
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
            let history = state.keys.get_or_insert(&key);
            history.newest = Version { revision: mod_revision, create_revision, value: Some(value) };
            if let Some(at) = ttl.and_then(expiry) {
                history.expires = true;
                state.expiries.insert(&key, at);
            }
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
        let history = self.keys.get(key)?;
        Some(self.changes.oldest_of(history.changed).unwrap_or(history.newest.revision))
    }

    /// For who is about to look at many keys: it takes less time to find them then.
    pub(crate) fn touch<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        self.keys.touch(keys);
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
        let mut events = Events::with_capacity(writes.size_hint().1.unwrap_or_default());
        for Write { key, put } in writes {
            let at = (revision, events.len());
            match put {
                Some(Put { value, ttl }) => events.push(self.put(key, value, ttl.and_then(expiry), at)),
                None => events.extend(self.delete(&key, at)),
            }
        }
        self.publish(revision, events);
    }

    /// Puts, as the event of that place.
    fn put(&mut self, key: Key, value: Bytes, expires: Option<Instant>, at: (Revision, usize)) -> Event {
        let history = self.keys.get_or_insert(&key);
        let (revision, previous) = (at.0, history.newest.take(&key));
        let create_revision = previous.as_ref().map_or(revision, |previous| previous.create_revision);
        history.newest = Version { revision, create_revision, value: Some(value.clone()) };
        history.changed = Some(self.changes.note(at, history.changed, false));
        let expired = std::mem::replace(&mut history.expires, expires.is_some());
        match expires {
            Some(at) => self.expiries.insert(&key, at),
            None if expired => self.expiries.remove(&key),
            None => {}
        }
        Event::Put { current: KeyValue { key, value, create_revision, mod_revision: revision }, previous }
    }

    /// Deletes, as the event of that place, what is there.
    fn delete(&mut self, key: &str, at: (Revision, usize)) -> Option<Event> {
        let history = self.keys.get_mut(key)?;
        let (revision, previous) = (at.0, history.newest.take(&history.key)?);
        history.newest = Version { revision, create_revision: 0, value: None };
        history.changed = Some(self.changes.note(at, history.changed, true));
        if std::mem::take(&mut history.expires) {
            self.expiries.remove(&previous.key);
        }
        Some(Event::Delete { previous, revision })
    }

    /// Makes `events` the batch of `revision`; nothing happens without events.
    fn publish(&mut self, revision: Revision, events: Events) {
        if events.is_empty() {
            return;
        }
        self.revision = revision;
        let batch = Arc::new(Batch::new(revision, events));
        self.changes.push(Arc::clone(&batch));
        let forgotten = self.publisher.publish(batch, &mut self.forgotten);
        self.forget(forgotten);
    }

    pub(crate) fn compact(&mut self, revision: Revision) -> Result<(), StoreError> {
        if revision > self.revision {
            return Err(StoreError::FutureRevision { requested: revision, current: self.revision });
        }
        let forgotten = self.publisher.compact(revision, &mut self.forgotten);
        self.forget(forgotten);
        self.oldest = self.oldest.max(revision);
        Ok(())
    }

    /// Drops the versions that as many of the oldest batches superseded, which the publisher keeps no more.
    fn forget(&mut self, batches: usize) {
        let Self { changes, keys, .. } = self;
        for _ in 0..batches {
            let deleted = |key: &Key, revision| {
                // A deletion that is not followed by a new creation was the last that needed the key.
                if keys.get(key).is_some_and(|history| history.newest.is_deletion_of(revision)) {
                    keys.remove(key);
                }
            };
            if let Some(batch) = changes.forget_oldest(deleted) {
                self.forgotten.push_other(batch);
            }
            self.oldest = changes.first_revision();
        }
    }

    /// What the state forgot since this was last asked for, once it is worth being dropped: by who has unlocked the state, as it takes
    /// time.
    #[must_use]
    pub(crate) fn take_forgotten(&mut self) -> Forgotten {
        if self.forgotten.is_much() { std::mem::take(&mut self.forgotten) } else { Forgotten::default() }
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first()
    }

    pub(crate) fn expiry_is_due(&self) -> bool {
        self.next_expiry().is_some_and(|at| at <= Instant::now())
    }

    /// Deletes what is past its time to live.
    pub(crate) fn expire(&mut self) {
        for deletions in self.due() {
            self.apply(self.revision + 1, deletions);
        }
    }

    /// The deletions of the keys that are past their time to live, in the order in which it ended, those of each revision together.
    pub(super) fn due(&self) -> Vec<Vec<Write>> {
        let deletion = |key: &Key| Write { key: Key::clone(key), put: None };
        self.expiries.due().chunks(EXPIRE_TOGETHER).map(|keys| keys.iter().map(deletion).collect()).collect()
    }
}

/// A time to live beyond what the clock can tell is one that never ends.
fn expiry(ttl: Duration) -> Option<Instant> {
    Instant::now().checked_add(ttl)
}
