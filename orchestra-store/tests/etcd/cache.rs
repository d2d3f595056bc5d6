//! The watch cache over etcd.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use orchestra_core::store::Store;
use orchestra_store::cache::{Cache, Freshness};
use tokio::time::{Instant, timeout};

use crate::{act::put, server::Etcd};

/// A cache hears of what happens elsewhere as soon as somebody wants to know, not with the next event of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_is_as_new_as_any_commit() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let cache = Cache::start(Arc::new(store.clone()), "/a/");
    let mut slowest = Duration::ZERO;
    for round in 0..200 {
        let key = if round % 10 == 0 { "/a/x" } else { "/elsewhere" };
        let revision = put(&store, key).await.unwrap();
        let begun = Instant::now();
        let freshness = if round % 2 == 0 { Freshness::Latest } else { Freshness::NotOlderThan(revision) };
        let snapshot = timeout(Duration::from_secs(10), cache.read(freshness)).await.unwrap().unwrap();
        assert!(snapshot.revision >= revision);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "a read took {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_many_caches_are_linearizable() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let readers = (0..8).map(|reader| {
        let store = store.clone();
        tokio::spawn(async move {
            let prefix = format!("/{reader}/");
            let cache = Cache::start(Arc::new(store.clone()), &prefix);
            for _ in 0..50 {
                let revision = put(&store, &format!("{prefix}x")).await.unwrap();
                let snapshot = cache.read(Freshness::Latest).await.unwrap();
                assert_eq!(snapshot.get(&format!("{prefix}x")).unwrap().revision, revision);
            }
        })
    });
    try_join_all(readers).await.unwrap();
    assert!(store.revision().await.unwrap() > 400);
}
