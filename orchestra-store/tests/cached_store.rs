//! The contract suite over the watch cache, in front of stores that answer and of one that fails.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use orchestra_core::store::{KeyRange, Precondition, ReadAt, Store, StoreError, Transaction, Watcher};
use orchestra_store::{MemoryStore, cache::CachedStore, contract};

fn cached(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(CachedStore::new(store, ""))
}

async fn passes(store: impl Fn() -> Arc<dyn Store>) {
    let outcome = contract::run(|| std::future::ready(store())).await;
    let lines: Vec<String> = outcome.err().into_iter().flatten().map(|violation| violation.to_string()).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_cache_keeps_the_contract_in_paused_time() {
    passes(|| cached(Arc::new(MemoryStore::default()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_cache_keeps_the_contract_under_real_concurrency() {
    let at_once = contract::checks().len();
    let store = || std::future::ready(cached(Arc::new(MemoryStore::default())));
    assert_eq!(contract::run_together(at_once, store).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_cache_keeps_the_contract_where_it_has_some_keys_only() {
    passes(|| Arc::new(CachedStore::new(Arc::new(MemoryStore::default()), "/h/"))).await;
}

#[tokio::test(start_paused = true)]
async fn the_cache_keeps_the_contract_over_a_store_that_fails() {
    for seed in 0..3 {
        passes(|| {
            let store = contract::unreliable(Arc::new(MemoryStore::default()), seed, |line| {
                line.repeated_requests(5).delay(Duration::from_millis(20)).lag(Duration::from_millis(20))
            });
            cached(store)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_loses_events_has_seen_whole_transactions_and_is_told() {
    let store = CachedStore::new(Arc::new(MemoryStore::default()), "");
    let start = store.revision().await.unwrap();
    store.get("/a", ReadAt::Latest).await.unwrap();
    let mut watch = store.watch(KeyRange::prefix("/"), start).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    // More than a cache keeps, in transactions that do not fit into the bites that watchers take.
    const KEYS: usize = 100;
    for _ in 0..100 {
        let all = (0..KEYS).fold(Transaction::new(), |all, i| all.put(format!("/{i:03}"), "x", Precondition::None));
        store.commit(all).await.unwrap();
        store.get("/a", ReadAt::Latest).await.unwrap();
    }
    let mut seen = start;
    let ended = loop {
        match watch.next().await.expect("it is told why the watch ends") {
            Ok(batch) => {
                assert_eq!(batch.events.len() % KEYS, 0, "a transaction is split");
                seen = batch.revision;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(ended, StoreError::SlowWatcher { revision: seen });
    assert!(watch.next().await.is_none());
}
