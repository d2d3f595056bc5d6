//! History that is dropped while it is watched, and history that etcd has lost.

use std::time::Duration;

use futures::StreamExt;
use orchestra_core::store::{Event, KeyRange, Precondition, ReadAt, Revision, Store, StoreError, Transaction, Watcher};
use orchestra_store::{EtcdStore, etcd::EtcdStoreOptions};
use tokio::time::{Instant, sleep};

use crate::{
    act::{next, put, serves, through, until_error},
    load::PATIENCE,
    proxy::{Line, Proxy},
    server::{Directory, Etcd, connect, options},
};

fn all() -> KeyRange {
    KeyRange::prefix("/")
}

/// Asserts that `events` are those of each revision after `after`.
fn without_gap(events: &[Event], after: Revision) {
    assert!(events.iter().map(Event::revision).eq((after + 1..).take(events.len())), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_lags_behind_compaction_is_told_and_one_that_keeps_up_is_not() {
    let etcd = Etcd::start().await;
    let store = connect(EtcdStoreOptions { retained_revisions: 50, watch_lag: 50, ..etcd.options() }).await;
    let start = store.revision().await.unwrap();
    let mut slow = store.watch(all(), start).await.unwrap();
    let mut quick = store.watch(all(), start).await.unwrap();
    let mut newest = start;
    for _ in 0..10 {
        let before = newest;
        for round in 0..20 {
            newest = put(&store, &format!("/{round}")).await.unwrap();
        }
        store.compact(newest).await.unwrap();
        without_gap(&through(&mut quick, newest).await, before);
    }
    let (events, error) = until_error(&mut slow).await;
    without_gap(&events, start);
    let seen = start + events.len() as Revision;
    assert!(matches!(error, StoreError::SlowWatcher { revision } if revision == seen), "{error:?} after {seen}");
    let resumed = store.watch(all(), seen).await.err();
    assert_eq!(resumed, Some(StoreError::Compacted { requested: seen, oldest: newest }));
    let page = store.list(&all(), Default::default()).await.unwrap();
    let mut anew = store.watch(all(), page.revision).await.unwrap();
    let last = put(&store, "/last").await.unwrap();
    assert_eq!(next(&mut anew).await.revision(), last);
}

/// The watch reads what the hub no longer has from etcd, and is not read while that is compacted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_the_past_that_compaction_overtakes_has_no_gap() {
    let etcd = Etcd::start().await;
    let writer = etcd.store().await;
    let start = writer.revision().await.unwrap();
    for round in 0..150 {
        let value = vec![b'x'; 100 << 10];
        writer.commit(Transaction::new().put(format!("/{}", round % 3), value, Precondition::None)).await.unwrap();
    }
    let store = etcd.store().await;
    let mut whole = store.watch(all(), start).await.unwrap();
    let mut overtaken = store.watch(all(), start).await.unwrap();
    let mut events = overtaken.next().await.unwrap().unwrap().events;
    let newest = store.revision().await.unwrap();
    without_gap(&through(&mut whole, newest).await, start);
    // While it is not read it has no watch with etcd.
    let begun = Instant::now();
    while etcd.metric("etcd_debugging_mvcc_watcher_total", "") > 1.0 {
        assert!(begun.elapsed() < PATIENCE, "a watch that is not read stays");
        sleep(Duration::from_millis(20)).await;
    }
    store.compact(newest).await.unwrap();
    let (more, error) = until_error(&mut overtaken).await;
    events.extend(more);
    without_gap(&events, start);
    assert!(matches!(error, StoreError::Compacted { .. }), "{error:?}");
    let last = put(&store, "/last").await.unwrap();
    assert_eq!(next(&mut whole).await.revision(), last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_end_where_what_was_missed_is_compacted() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(options([proxy.url()])).await;
    let seen = put(&store, "/a").await.unwrap();
    let mut watch = store.watch(all(), seen).await.unwrap();
    proxy.set(Line::Cut);
    let direct = etcd.store().await;
    for _ in 0..10 {
        put(&direct, "/a").await.unwrap();
    }
    direct.compact(direct.revision().await.unwrap()).await.unwrap();
    proxy.set(Line::Whole);
    let (events, error) = until_error(&mut watch).await;
    assert!(events.is_empty(), "{events:?}");
    assert!(matches!(error, StoreError::Compacted { requested, .. } if requested == seen), "{error:?}");
    let page = store.list(&all(), Default::default()).await.unwrap();
    let mut anew = store.watch(all(), page.revision).await.unwrap();
    let last = put(&direct, "/last").await.unwrap();
    assert_eq!(next(&mut anew).await.revision(), last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_end_where_etcd_has_lost_what_it_told() {
    let mut etcd = Etcd::start().await;
    let store = etcd.store().await;
    for _ in 0..10 {
        put(&store, "/a").await.unwrap();
    }
    let seen = store.revision().await.unwrap();
    let mut watch = store.watch(all(), seen).await.unwrap();
    etcd.restart_empty().await;
    let (events, error) = until_error(&mut watch).await;
    assert!(events.is_empty(), "{events:?}");
    assert!(matches!(error, StoreError::Compacted { .. }), "{error:?}");
    serves(&store).await;
    let watched = store.watch(all(), seen).await.err();
    assert!(matches!(watched, Some(StoreError::FutureRevision { .. })), "{watched:?}");
    let mut anew = store.watch(all(), store.revision().await.unwrap()).await.unwrap();
    let last = put(&store, "/last").await.unwrap();
    assert_eq!(next(&mut anew).await.revision(), last);
}

/// It has revisions of the same numbers again before the store asks for its own, and nothing is missing between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_end_where_etcd_was_restored_from_a_backup() {
    let mut etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(options([proxy.url()])).await;
    put(&store, "/a").await.unwrap();
    let backups = Directory::new();
    let file = backups.path().join("backup");
    etcd.back_up(&file);
    let seen = put(&store, "/lost").await.unwrap();
    let mut watch = store.watch(all(), seen).await.unwrap();
    proxy.set(Line::Cut);
    etcd.restore(&file).await;
    let direct = etcd.store().await;
    while put(&direct, "/other").await.unwrap() <= seen {}
    proxy.set(Line::Whole);
    let (events, error) = until_error(&mut watch).await;
    assert!(events.is_empty(), "{events:?}");
    assert!(matches!(error, StoreError::Compacted { requested, .. } if requested == seen), "{error:?}");
    assert!(store.get("/lost", ReadAt::Latest).await.unwrap().is_none());
    let mut anew = store.watch(all(), store.revision().await.unwrap()).await.unwrap();
    let last = put(&direct, "/last").await.unwrap();
    assert_eq!(next(&mut anew).await.revision(), last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_take_turns_in_compacting() {
    let etcd = Etcd::start().await;
    let often = EtcdStoreOptions { compaction_interval: Some(Duration::from_millis(300)), ..etcd.options() };
    let stores: [EtcdStore; 2] = [connect(often.clone()).await, connect(often).await];
    let old = put(&stores[0], "/a").await.unwrap();
    put(&stores[0], "/a").await.unwrap();
    let begun = Instant::now();
    let oldest = loop {
        match stores[0].get("/a", ReadAt::Revision(old)).await {
            Err(StoreError::Compacted { oldest, .. }) => break oldest,
            other => assert!(begun.elapsed() < PATIENCE, "nobody compacts: {other:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    };
    let turns = stores[1].get("compact_rev_key", ReadAt::Latest).await.unwrap().expect("Kubernetes' key");
    let told: Revision = String::from_utf8_lossy(&turns.value).parse().unwrap();
    assert!(old < oldest && oldest <= told, "{told} is told, {oldest} is compacted");
    assert!(stores[1].get("/a", ReadAt::Latest).await.unwrap().is_some());
}
