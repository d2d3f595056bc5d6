//! [`MemoryStore`]: the whole `Store` contract in the process's memory.

use std::sync::Arc;

use async_trait::async_trait;
use orchestra_core::store::{
    KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
};
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::mvcc::{Expiring, Publisher, Retention, State, Timer};

/// How much history a [`MemoryStore`] keeps by itself, beside what [`Store::compact`] drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStoreOptions {
    /// The most revisions that can be read or watched from.
    pub retained_revisions: usize,
    /// The most bytes of values in those revisions' events, and in those that a watcher lags behind.
    pub retained_bytes: usize,
    /// How many revisions of its range a watcher may lag behind before it gets [`StoreError::SlowWatcher`].
    pub watch_lag: usize,
}

impl Default for MemoryStoreOptions {
    /// 10,000 revisions, 16 MiB, and a lag of 8,192.
    fn default() -> Self {
        Self { retained_revisions: 10_000, retained_bytes: 16 << 20, watch_lag: 8_192 }
    }
}

/// A store in memory. Clones share it.
///
/// History is kept until [`Store::compact`] or until it exceeds the [`MemoryStoreOptions`]. Times to live run on tokio's clock,
/// so keys that expire are to be put within a tokio runtime whose time is enabled; without one they are gone for every read
/// and write, but watchers hear of it only with the next of them.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use orchestra_core::store::{Precondition, ReadAt, Store, Transaction};
/// use orchestra_store::MemoryStore;
///
/// let store = MemoryStore::default();
/// let revision = store.commit(Transaction::new().put("/a", "1", Precondition::Absent)).await?;
/// let entry = store.get("/a", ReadAt::Latest).await?.expect("just put");
/// assert_eq!((entry.mod_revision, &*entry.value), (revision, &b"1"[..]));
/// # Ok::<(), orchestra_core::store::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    state: RwLock<State>,
    publisher: Publisher,
    timer: Timer,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Watchers would wait forever.
        self.publisher.close();
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(MemoryStoreOptions::default())
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(options: MemoryStoreOptions) -> Self {
        let MemoryStoreOptions { retained_revisions, retained_bytes, watch_lag } = options;
        let retention = Retention { revisions: retained_revisions, bytes: retained_bytes, watch_lag };
        let publisher = Publisher::new(retention, 0);
        let state = RwLock::new(State::new(publisher.clone()));
        let shared = Shared { state, publisher, timer: Timer::default() };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    /// Runs `change` on the state, with what is due to expire gone before it.
    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write();
        state.expire();
        let result = change(&mut state);
        let forgotten = state.take_forgotten();
        drop(state);
        self.publisher.wake();
        drop(forgotten);
        result
    }

    /// Runs `read` on the state, in which no key is past its time to live.
    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        let state = self.state.read();
        if !state.expiry_is_due() {
            return read(&state);
        }
        drop(state);
        self.write(|state| read(state))
    }
}

impl Expiring for Shared {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.state.read().next_expiry()
    }

    async fn expire(self: Arc<Self>) {
        self.write(|_| ());
    }
}

#[async_trait]
impl Watcher for MemoryStore {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        // What is due to expire is told, whether there is a runtime for the timer or not.
        self.shared.read(|_| ());
        self.shared.publisher.watch(range, after)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.shared.read(|state| state.get(key, at))
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        self.shared.read(|state| state.list(range, &options))
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let (revision, expiring) = self.shared.write(|state| {
            let revision = state.commit(transaction)?;
            Ok::<_, StoreError>((revision, state.next_expiry().is_some()))
        })?;
        if expiring {
            Timer::arm(&self.shared);
        }
        Ok(revision)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.shared.read(State::revision))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.shared.write(|state| state.compact(revision))
    }
}
