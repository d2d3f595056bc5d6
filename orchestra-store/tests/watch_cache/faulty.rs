//! A store whose watches can be made to fail.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use orchestra_core::store::{
    KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
};
use orchestra_store::MemoryStore;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
pub(crate) struct Faulty {
    pub(crate) good: MemoryStore,
    controls: Arc<Controls>,
}

#[derive(Default)]
struct Controls {
    /// Ends the watches that have begun.
    broken: parking_lot::Mutex<CancellationToken>,
    refuses_watches: AtomicBool,
    hides_progress: AtomicBool,
    lists: AtomicUsize,
}

impl Faulty {
    /// Breaks all watches, and refuses new ones until [`mend`](Self::mend).
    pub(crate) fn break_watches(&self) {
        self.controls.refuses_watches.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.controls.broken.lock()).cancel();
    }

    pub(crate) fn mend(&self) {
        self.controls.refuses_watches.store(false, Ordering::Relaxed);
    }

    /// Makes watches tell only changes, not that nothing has changed.
    pub(crate) fn hide_progress(&self) {
        self.controls.hides_progress.store(true, Ordering::Relaxed);
    }

    /// How often the store was listed.
    pub(crate) fn lists(&self) -> usize {
        self.controls.lists.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Watcher for Faulty {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        if self.controls.refuses_watches.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("down".to_owned()));
        }
        let broken = self.controls.broken.lock().clone();
        let hides = self.controls.hides_progress.load(Ordering::Relaxed);
        let good = self.good.watch(range, after).await?;
        let good = good.filter(move |item| {
            let hidden = hides && item.as_ref().is_ok_and(|batch| batch.events.is_empty());
            async move { !hidden }
        });
        let failure = stream::once(async { Err(StoreError::Unavailable("connection lost".to_owned())) });
        Ok(good.take_until(broken.cancelled_owned()).chain(failure).boxed())
    }
}

#[async_trait]
impl Store for Faulty {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.good.get(key, at).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        self.controls.lists.fetch_add(1, Ordering::Relaxed);
        self.good.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.good.commit(transaction).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.good.revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.good.compact(revision).await
    }
}
