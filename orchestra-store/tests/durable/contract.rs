//! The contract suite, over stores that are open for the first time, reopened before, and reopened all the time.

use std::sync::Arc;

use orchestra_core::store::{Precondition, Store, Transaction};
use orchestra_store::{
    DurableStore,
    cache::CachedStore,
    contract::{self, Subject},
};

use crate::harness::Place;

/// A store that removes its folder.
fn fresh() -> Subject {
    let place = Place::new();
    contract::guarded(DurableStore::open(place.path()).unwrap(), place)
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
    contract::guarded(DurableStore::open(place.path()).unwrap(), place)
}

#[tokio::test(start_paused = true)]
async fn the_contract_is_kept_in_paused_time() {
    let outcome = contract::run(|| std::future::ready(fresh())).await;
    assert_eq!(outcome, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_is_kept_under_real_concurrency() {
    let run = |check: contract::Check| tokio::spawn(async move { check.run(fresh()).await });
    for check in contract::checks().into_iter().map(run).collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_is_kept_by_a_store_that_was_opened_again() {
    let run = |check: contract::Check| tokio::spawn(async move { check.run(reopened().await).await });
    for check in contract::checks().into_iter().map(run).collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_watch_cache_over_it_keeps_the_contract() {
    let cached = || std::future::ready(Arc::new(CachedStore::new(fresh(), "")) as Subject);
    assert_eq!(contract::run_together(contract::checks().len(), cached).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract_over_a_line_that_fails_if_it_is_retried() {
    let retried = || std::future::ready(contract::unreliable(fresh(), 7, |line| line));
    assert_eq!(contract::run(retried).await, Ok(()));
}
