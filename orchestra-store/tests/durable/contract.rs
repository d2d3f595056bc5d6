//! The contract suite, over stores that are open for the first time, reopened before, and reopened all the time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use orchestra_core::{
    random::Generator,
    store::{
        KeyRange, KeyValue, ListOptions, Page, Precondition, ReadAt, Revision, Store, StoreError, Transaction,
        WatchStream, Watcher,
    },
};
use orchestra_store::{DurableStore, FaultyStore, RetryingStore, cache::CachedStore, contract};

use crate::harness::Place;

/// A store that removes its folder.
struct Subject {
    store: DurableStore,
    _place: Place,
}

#[async_trait]
impl Watcher for Subject {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        self.store.watch(range, after).await
    }
}

#[async_trait]
impl Store for Subject {
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

fn fresh() -> Subject {
    let place = Place::new();
    Subject { store: DurableStore::open(place.path()).unwrap(), _place: place }
}

/// A store that has a past, and has been closed after it.
async fn reopened() -> Subject {
    let place = Place::new();
    let store = DurableStore::open(place.path()).unwrap();
    for round in 0..20 {
        let key = format!("/past/{}", round % 3);
        store.commit(Transaction::new().put(&*key, round.to_string(), Precondition::None)).await.unwrap();
        store.commit(Transaction::new().delete(key, Precondition::Exists)).await.unwrap();
    }
    drop(store);
    Subject { store: DurableStore::open(place.path()).unwrap(), _place: place }
}

#[tokio::test(start_paused = true)]
async fn the_contract_is_kept_in_paused_time() {
    let outcome = contract::run(|| std::future::ready(Arc::new(fresh()) as Arc<dyn Store>)).await;
    assert_eq!(outcome, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_is_kept_under_real_concurrency() {
    let run = |check: contract::Check| tokio::spawn(async move { check.run(Arc::new(fresh())).await });
    for check in contract::checks().into_iter().map(run).collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_is_kept_by_a_store_that_was_opened_again() {
    let run = |check: contract::Check| tokio::spawn(async move { check.run(Arc::new(reopened().await)).await });
    for check in contract::checks().into_iter().map(run).collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_watch_cache_over_it_keeps_the_contract() {
    let cached = || std::future::ready(Arc::new(CachedStore::new(Arc::new(fresh()), "")) as Arc<dyn Store>);
    assert_eq!(contract::run_together(contract::checks().len(), cached).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract_over_a_line_that_fails_if_it_is_retried() {
    let retried = || {
        let line = FaultyStore::new(Arc::new(fresh()), Generator::seeded(7))
            .failures(10)
            .lost_requests(5)
            .lost_answers(5)
            .broken_watches(10);
        std::future::ready(Arc::new(RetryingStore::new(Arc::new(line)).limit(Duration::from_secs(60))) as Arc<dyn Store>)
    };
    assert_eq!(contract::run(retried).await, Ok(()));
}
