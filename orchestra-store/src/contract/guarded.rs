use std::sync::Arc;

use async_trait::async_trait;
use orchestra_core::store::{
    KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
};

use super::Subject;

/// A store that keeps something else as long as it lives: the server that it talks to, the folder that it is in.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use orchestra_core::store::Store;
/// use orchestra_store::{MemoryStore, contract};
///
/// struct Folder;
/// let store = contract::guarded(MemoryStore::default(), Folder);
/// assert_eq!(store.revision().await?, 0);
/// # Ok::<(), orchestra_core::store::StoreError>(()) }).unwrap();
/// ```
pub fn guarded(store: impl Store, guard: impl Send + Sync + 'static) -> Subject {
    Arc::new(Guarded { store, _guard: guard })
}

/// The store is dropped before its guard.
struct Guarded<S, G> {
    store: S,
    _guard: G,
}

#[async_trait]
impl<S: Store, G: Send + Sync + 'static> Watcher for Guarded<S, G> {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        self.store.watch(range, after).await
    }
}

#[async_trait]
impl<S: Store, G: Send + Sync + 'static> Store for Guarded<S, G> {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.store.get(key, at).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        self.store.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.store.commit(transaction).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.store.revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.store.compact(revision).await
    }
}
