//! A memory store that lies in one way.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use orchestra_core::store::{
    KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchBatch, WatchStream,
    Watcher,
};
use orchestra_store::MemoryStore;

/// What a broken store does otherwise than the good one; by default nothing.
#[async_trait]
pub(crate) trait Flaw: Send + Sync + 'static {
    async fn get(&self, good: &MemoryStore, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        good.get(key, at).await
    }

    async fn list(&self, good: &MemoryStore, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        good.list(range, options).await
    }

    async fn commit(&self, good: &MemoryStore, transaction: Transaction) -> Result<Revision, StoreError> {
        good.commit(transaction).await
    }

    async fn revision(&self, good: &MemoryStore) -> Result<Revision, StoreError> {
        good.revision().await
    }

    async fn compact(&self, good: &MemoryStore, revision: Revision) -> Result<(), StoreError> {
        good.compact(revision).await
    }

    async fn watch(&self, good: &MemoryStore, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        good.watch(range, after).await
    }

    /// What becomes of a batch of a watch.
    fn batch(&self, batch: WatchBatch) -> Vec<WatchBatch> {
        vec![batch]
    }
}

pub(crate) struct Broken {
    good: MemoryStore,
    flaw: Arc<dyn Flaw>,
}

impl Broken {
    pub(crate) fn new(flaw: impl Flaw) -> Self {
        Self { good: MemoryStore::default(), flaw: Arc::new(flaw) }
    }
}

#[async_trait]
impl Watcher for Broken {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let flaw = Arc::clone(&self.flaw);
        let items = self.flaw.watch(&self.good, range, after).await?.flat_map(move |item| {
            stream::iter(match item {
                Ok(batch) => flaw.batch(batch).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
        });
        Ok(items.boxed())
    }
}

#[async_trait]
impl Store for Broken {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.flaw.get(&self.good, key, at).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        self.flaw.list(&self.good, range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.flaw.commit(&self.good, transaction).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.flaw.revision(&self.good).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.flaw.compact(&self.good, revision).await
    }
}
