//! [`FaultyStore`]: any store, seen over a line that fails.

mod fate;
mod line;
mod watch;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use orchestra_core::{
    random::Generator,
    store::{
        KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
    },
};
use tokio::time::sleep;

use self::{
    fate::{Fate, Fault, Faults},
    line::Line,
};

/// A store behind a line with faults: calls that fail, commits whose outcome is not told, delays, watches that break.
///
/// The store behind stays sound, so what this one answers is what a client of a sound store gets to see over a bad network,
/// and every answer but [`Unavailable`](StoreError::Unavailable) and [`OutcomeUnknown`](StoreError::OutcomeUnknown) keeps the
/// contract. Without settings nothing fails. All chances are in percent of the calls that they concern. They are drawn from a
/// seeded generator, call by call, and delays are tokio's: under paused time one seed gives the same course again.
///
/// Clones share the line and go on with the same sequence. [`RetryingStore`](crate::RetryingStore) makes such a store usable
/// again.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use orchestra_core::{random::Generator, store::{Precondition, ReadAt, Store, StoreError, Transaction}};
/// use orchestra_store::{FaultyStore, MemoryStore};
///
/// let store = FaultyStore::new(Arc::new(MemoryStore::default()), Generator::seeded(7)).lost_answers(100);
/// let committed = store.commit(Transaction::new().put("/a", "1", Precondition::Absent)).await;
/// assert!(matches!(committed, Err(StoreError::OutcomeUnknown(_))));
/// assert!(store.get("/a", ReadAt::Latest).await?.is_some(), "it was committed all the same");
/// # Ok::<(), StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    generator: Generator,
    faults: Faults,
    line: Arc<Line>,
}

impl FaultyStore {
    /// `inner` over a line without faults, to be given some.
    pub fn new(inner: Arc<dyn Store>, generator: Generator) -> Self {
        Self { inner, generator, faults: Faults::default(), line: Arc::default() }
    }

    /// So many calls, of every sort, fail with [`StoreError::Unavailable`] before anything has happened.
    #[must_use]
    pub fn failures(mut self, percent: u64) -> Self {
        self.faults.failures = percent;
        self
    }

    /// So many commits are answered with [`StoreError::OutcomeUnknown`] and never reach the store.
    #[must_use]
    pub fn lost_requests(mut self, percent: u64) -> Self {
        self.faults.lost_requests = percent;
        self
    }

    /// So many commits are answered with [`StoreError::OutcomeUnknown`] after the store has decided on them.
    #[must_use]
    pub fn lost_answers(mut self, percent: u64) -> Self {
        self.faults.lost_answers = percent;
        self
    }

    /// So many commits are answered with [`StoreError::OutcomeUnknown`] and reach the store later, up to
    /// [`delay`](Self::delay) after the answer.
    #[must_use]
    pub fn late_requests(mut self, percent: u64) -> Self {
        self.faults.late_requests = percent;
        self
    }

    /// So many commits reach the store twice, one after the other; the answer is the first one's. Nothing protects a creation
    /// from that if others delete the key in between, which they can over a store that takes time: its repetition, or
    /// the one of a creation that conflicted, creates the key again.
    #[must_use]
    pub fn repeated_requests(mut self, percent: u64) -> Self {
        self.faults.repeated_requests = percent;
        self
    }

    /// At so many batches a watch ends with [`StoreError::Unavailable`] instead of delivering it.
    #[must_use]
    pub fn broken_watches(mut self, percent: u64) -> Self {
        self.faults.broken_watches = percent;
        self
    }

    /// Before so many calls, of every sort, the store is compacted at one of its latest ten revisions.
    #[must_use]
    pub fn early_compactions(mut self, percent: u64) -> Self {
        self.faults.early_compactions = percent;
        self
    }

    /// Every request, and every answer, takes up to `most`; calls that are under way together overtake each other.
    #[must_use]
    pub fn delay(mut self, most: Duration) -> Self {
        self.faults.delay = most;
        self
    }

    /// The batches of a watch take up to `most`, each watch on its own.
    #[must_use]
    pub fn lag(mut self, most: Duration) -> Self {
        self.faults.lag = most;
        self
    }

    /// Watches tell only changes, not that nothing has changed, as etcd does unless it is asked.
    #[must_use]
    pub fn without_progress(mut self) -> Self {
        self.faults.hides_progress = true;
        self
    }

    /// Ends all faults until [`switch_on`](Self::switch_on), also those of watches that have begun.
    pub fn switch_off(&self) {
        self.line.set_faulty(false);
    }

    /// Lets the faults come again.
    pub fn switch_on(&self) {
        self.line.set_faulty(true);
    }

    /// Cuts the line, whether faults are switched on or not: all watches end, and every call fails with
    /// [`StoreError::Unavailable`] until [`mend`](Self::mend).
    pub fn cut(&self) {
        self.line.cut();
    }

    /// Mends the line that was [`cut`](Self::cut).
    pub fn mend(&self) {
        self.line.mend();
    }

    /// What becomes of a call, after its way to the store.
    async fn depart(&self) -> Result<Fate, StoreError> {
        let fate = if self.line.is_faulty() { self.faults.draw(&self.generator) } else { Fate::default() };
        sleep_for(fate.request).await;
        if fate.fails || self.line.is_cut() {
            return Err(unavailable());
        }
        if let Some(back) = fate.compacts {
            let now = self.inner.revision().await?;
            self.inner.compact(now.saturating_sub(back)).await?;
        }
        Ok(fate)
    }

    /// What becomes of an answer on its way back; `lost` is what the caller learns if the line is cut.
    async fn arrive<T>(&self, fate: Fate, answer: Result<T, StoreError>, lost: StoreError) -> Result<T, StoreError> {
        sleep_for(fate.answer).await;
        if self.line.is_cut() { Err(lost) } else { answer }
    }

    fn commit_later(&self, transaction: Transaction, after: Duration) {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            sleep_for(after).await;
            // Nobody is told.
            let _ = inner.commit(transaction).await;
        });
    }
}

#[async_trait]
impl Watcher for FaultyStore {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let fate = self.depart().await?;
        let begun = self.inner.watch(range, after).await;
        let stream = self.arrive(fate, begun, unavailable()).await?;
        Ok(watch::faulty(stream, self.faults, self.generator.fork(), Arc::clone(&self.line)))
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        let fate = self.depart().await?;
        let result = self.inner.get(key, at).await;
        self.arrive(fate, result, unavailable()).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        let fate = self.depart().await?;
        let result = self.inner.list(range, options).await;
        self.arrive(fate, result, unavailable()).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let fate = self.depart().await?;
        let result = match fate.commit {
            None => self.inner.commit(transaction).await,
            Some(Fault::LostRequest) => Err(unknown()),
            Some(Fault::LostAnswer) => {
                let _ = self.inner.commit(transaction).await;
                Err(unknown())
            }
            Some(Fault::LateRequest) => {
                self.commit_later(transaction, fate.answer + fate.late);
                Err(unknown())
            }
            Some(Fault::RepeatedRequest) => {
                let first = self.inner.commit(transaction.clone()).await;
                // Its answer finds nobody who waits for it.
                let _ = self.inner.commit(transaction).await;
                first
            }
        };
        self.arrive(fate, result, unknown()).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        let fate = self.depart().await?;
        let result = self.inner.revision().await;
        self.arrive(fate, result, unavailable()).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let fate = self.depart().await?;
        let result = self.inner.compact(revision).await;
        self.arrive(fate, result, unavailable()).await
    }
}

async fn sleep_for(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the line to the store is down".to_owned())
}

fn unknown() -> StoreError {
    StoreError::OutcomeUnknown("the line to the store broke".to_owned())
}
