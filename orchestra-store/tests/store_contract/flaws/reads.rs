use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use orchestra_core::store::{KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction};
use orchestra_store::MemoryStore;

use crate::broken::Flaw;

/// Lists the latest state as of one revision ago.
pub(crate) struct StaleList;

#[async_trait]
impl Flaw for StaleList {
    async fn list(&self, good: &MemoryStore, range: &KeyRange, mut options: ListOptions) -> Result<Page, StoreError> {
        if options.at == ReadAt::Latest {
            let now = good.revision().await?;
            options.at = ReadAt::Revision(now.saturating_sub(1));
        }
        good.list(range, options).await
    }
}

/// Gets the latest state as of the commit before the last.
#[derive(Default)]
pub(crate) struct StaleGet {
    last: AtomicU64,
    before: AtomicU64,
}

#[async_trait]
impl Flaw for StaleGet {
    async fn commit(&self, good: &MemoryStore, transaction: Transaction) -> Result<Revision, StoreError> {
        let revision = good.commit(transaction).await?;
        self.before.store(self.last.swap(revision, Ordering::Relaxed), Ordering::Relaxed);
        Ok(revision)
    }

    async fn get(&self, good: &MemoryStore, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        match at {
            ReadAt::Latest => good.get(key, ReadAt::Revision(self.before.load(Ordering::Relaxed))).await,
            at => good.get(key, at).await,
        }
    }
}

/// Checks that an old revision can be read, and reads the latest.
pub(crate) struct LatestForOld;

#[async_trait]
impl Flaw for LatestForOld {
    async fn get(&self, good: &MemoryStore, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        good.get(key, at).await?;
        good.get(key, ReadAt::Latest).await
    }

    async fn list(&self, good: &MemoryStore, range: &KeyRange, mut options: ListOptions) -> Result<Page, StoreError> {
        let revision = good.list(range, options.clone()).await?.revision;
        options.at = ReadAt::Latest;
        Ok(Page { revision, ..good.list(range, options).await? })
    }
}

/// Reads the pages after the first from the latest state.
pub(crate) struct PagesOfLatest;

#[async_trait]
impl Flaw for PagesOfLatest {
    async fn list(&self, good: &MemoryStore, range: &KeyRange, mut options: ListOptions) -> Result<Page, StoreError> {
        let revision = good.list(range, options.clone()).await?.revision;
        if options.after.is_some() {
            options.at = ReadAt::Latest;
        }
        Ok(Page { revision, ..good.list(range, options).await? })
    }
}

/// Counts what remains in the latest state.
pub(crate) struct RemainingOfLatest;

#[async_trait]
impl Flaw for RemainingOfLatest {
    async fn list(&self, good: &MemoryStore, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        let page = good.list(range, options.clone()).await?;
        let latest = good.list(range, ListOptions { at: ReadAt::Latest, ..options }).await?;
        Ok(Page { remaining: latest.remaining, ..page })
    }
}

/// Begins a page with the last key of the one before.
pub(crate) struct InclusiveContinuation;

#[async_trait]
impl Flaw for InclusiveContinuation {
    async fn list(&self, good: &MemoryStore, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        let Some(after) = options.after.clone() else { return good.list(range, options).await };
        let rest = KeyRange::between(after, range.end().map(Into::into));
        good.list(&rest, ListOptions { after: None, ..options }).await
    }
}

/// Takes a revision that has not happened for the latest.
pub(crate) struct FutureIsLatest;

#[async_trait]
impl Flaw for FutureIsLatest {
    async fn get(&self, good: &MemoryStore, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        match good.get(key, at).await {
            Err(StoreError::FutureRevision { .. }) => good.get(key, ReadAt::Latest).await,
            result => result,
        }
    }
}
