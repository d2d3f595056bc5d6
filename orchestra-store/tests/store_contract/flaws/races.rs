//! Flaws that show only while other calls are under way.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use orchestra_core::store::{
    Change, Key, KeyRange, KeyValue, ListOptions, Page, Precondition, ReadAt, Revision, Store, StoreError, Transaction,
};
use orchestra_store::MemoryStore;
use parking_lot::Mutex;
use tokio::task::yield_now;

use crate::broken::Flaw;

/// Knows of commits that are under way, which take a while.
#[derive(Default)]
struct Traffic {
    commits: AtomicU64,
    acknowledged: AtomicU64,
}

impl Traffic {
    async fn commit(&self, good: &MemoryStore, transaction: Transaction) -> (bool, Result<Revision, StoreError>) {
        let alone = self.commits.fetch_add(1, Ordering::AcqRel) == 0;
        yield_now().await;
        let result = good.commit(transaction).await;
        self.commits.fetch_sub(1, Ordering::AcqRel);
        if let Ok(revision) = result {
            self.acknowledged.fetch_max(revision, Ordering::AcqRel);
        }
        (alone, result)
    }

    /// The state before the last commit that was acknowledged, if another is under way.
    fn stale(&self) -> Option<ReadAt> {
        let busy = self.commits.load(Ordering::Acquire) > 0;
        busy.then(|| ReadAt::Revision(self.acknowledged.load(Ordering::Acquire).saturating_sub(1).max(1)))
    }
}

/// Does not find a key that was deleted before and created anew just now.
#[derive(Default)]
pub(crate) struct LateCreation {
    traffic: Traffic,
    deleted: Mutex<HashSet<Key>>,
}

#[async_trait]
impl Flaw for LateCreation {
    async fn commit(&self, good: &MemoryStore, transaction: Transaction) -> Result<Revision, StoreError> {
        let deletes = transaction.operations().iter().filter(|operation| operation.change == Change::Delete);
        self.deleted.lock().extend(deletes.map(|operation| Key::clone(&operation.key)));
        self.traffic.commit(good, transaction).await.1
    }

    async fn get(&self, good: &MemoryStore, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        let found = good.get(key, at).await?;
        let anew =
            self.deleted.lock().contains(key) && found.as_ref().is_some_and(|f| f.create_revision == f.mod_revision);
        match (at, self.traffic.stale()) {
            (ReadAt::Latest, Some(stale)) if anew => Ok(good.get(key, stale).await?.and(found)),
            _ => Ok(found),
        }
    }
}

/// Shows a commit in lists of several keys only a while after it was acknowledged.
#[derive(Default)]
pub(crate) struct LateInLists {
    traffic: Traffic,
}

#[async_trait]
impl Flaw for LateInLists {
    async fn commit(&self, good: &MemoryStore, transaction: Transaction) -> Result<Revision, StoreError> {
        self.traffic.commit(good, transaction).await.1
    }

    async fn list(&self, good: &MemoryStore, range: &KeyRange, mut options: ListOptions) -> Result<Page, StoreError> {
        let is_single = *range == KeyRange::single(range.start());
        if let (ReadAt::Latest, Some(stale), false) = (options.at, self.traffic.stale(), is_single) {
            options.at = stale;
        }
        good.list(range, options).await
    }
}

/// Says that a swap of several keys conflicted, though it was done, if another commit was under way.
#[derive(Default)]
pub(crate) struct ConflictThoughDone {
    traffic: Traffic,
}

#[async_trait]
impl Flaw for ConflictThoughDone {
    async fn commit(&self, good: &MemoryStore, transaction: Transaction) -> Result<Revision, StoreError> {
        let swapped = transaction.operations().iter().find(|o| matches!(o.precondition, Precondition::Unchanged(_)));
        let swapped = swapped.filter(|_| transaction.operations().len() > 1).cloned();
        match (self.traffic.commit(good, transaction).await, swapped) {
            ((false, Ok(_)), Some(operation)) => {
                let current = good.get(&operation.key, ReadAt::Latest).await?;
                Err(StoreError::Conflict { key: operation.key, expected: operation.precondition, current })
            }
            ((_, result), _) => result,
        }
    }
}
