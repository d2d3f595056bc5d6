//! [`RetryingStore`]: a store whose failures are mended where they can be.

mod anchor;
mod commit;
mod outcome;
mod patience;
mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use orchestra_core::{
    backoff::Backoff,
    store::{
        KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
    },
};

use self::patience::Patience;

/// A store over one that may be unavailable for moments and may lose the answers to commits, as one over a network does.
///
/// - What fails with [`StoreError::Unavailable`] is tried again, at growing distances, until a [`limit`](Self::limit) of time
///   after its first failure.
/// - A watch that ends with [`StoreError::Unavailable`] is resumed after the last batch that was delivered.
/// - A commit whose outcome is unknown is looked for in the history. If it is there, its revision is returned; if not, it is
///   sent again, and the store decides.
///
/// To be found in the history, and not to be done twice, a transaction needs an anchor: a put or delete whose precondition
/// no longer holds once it was done, [`Unchanged`](orchestra_core::store::Precondition::Unchanged) or
/// [`Absent`](orchestra_core::store::Precondition::Absent). Kubernetes' writes have one. One that has none gets one, by a read
/// before it.
///
/// A transaction counts as done if the first change of its anchor is at a revision where all its puts and deletes are in
/// place, with equal values. So two transactions that race to write the same values, or only to delete the same key, may
/// both be told that they did it. [`StoreError::OutcomeUnknown`] remains where the store does not answer until the limit,
/// or has compacted the history that would tell. A request that reaches the store late, or a second time, does nothing if it
/// is anchored by `Unchanged`; anchored by `Absent` it is done, whatever was told of it, if the key was deleted by then.
///
/// As long as nothing fails, a call costs a look at its result, and a commit a copy of its operations.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use orchestra_core::{random::Generator, store::{Precondition, Store, StoreError, Transaction}};
/// use orchestra_store::{FaultyStore, MemoryStore, RetryingStore};
///
/// let faulty = FaultyStore::new(Arc::new(MemoryStore::default()), Generator::seeded(7)).failures(20).lost_answers(20);
/// let store = RetryingStore::new(Arc::new(faulty));
/// for round in 1..=100 {
///     let put = Transaction::new().put("/a", round.to_string(), Precondition::None);
///     assert_eq!(store.commit(put).await?, round, "each is done once");
/// }
/// # Ok::<(), StoreError>(()) }).unwrap();
/// ```
pub struct RetryingStore {
    inner: Arc<dyn Store>,
    limit: Duration,
    backoff: Backoff,
    /// The newest revision that the store is known to have reached.
    seen: AtomicU64,
}

impl RetryingStore {
    /// Tries again for up to five seconds, at first after 10 ms, at last every 250 ms.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let backoff = Backoff { base: Duration::from_millis(10), max: Duration::from_millis(250) };
        Self { inner, limit: Duration::from_secs(5), backoff, seen: AtomicU64::new(0) }
    }

    /// For how long after its first failure a call is tried again, or a watch resumed.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// At what distances.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    fn patience(&self) -> Patience {
        Patience::new(self.limit, self.backoff)
    }

    fn seen(&self) -> Revision {
        self.seen.load(Ordering::Relaxed)
    }

    fn saw(&self, revision: Revision) -> Revision {
        self.seen.fetch_max(revision, Ordering::Relaxed);
        revision
    }

    /// Does a call that may be done any number of times.
    async fn retry<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut patience = self.patience();
        loop {
            match call().await {
                Err(error @ (StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))) => {
                    if !patience.wait().await {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }
}

#[async_trait]
impl Watcher for RetryingStore {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let stream = self.retry(|| self.inner.watch(range.clone(), after)).await?;
        Ok(watch::resuming(Arc::clone(&self.inner), range, after, stream, self.patience()))
    }
}

#[async_trait]
impl Store for RetryingStore {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.retry(|| self.inner.get(key, at)).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        let page = self.retry(|| self.inner.list(range, options.clone())).await?;
        self.saw(page.revision);
        Ok(page)
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.commit_once(transaction).await.map(|revision| self.saw(revision))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.retry(|| self.inner.revision()).await.map(|revision| self.saw(revision))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.retry(|| self.inner.compact(revision)).await
    }
}
