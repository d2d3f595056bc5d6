//! What many callers share, and what is left when the store is gone.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::try_join_all};
use orchestra_core::store::{KeyRange, Precondition, ReadAt, Store, Transaction, Watcher};
use tokio::{
    runtime::Handle,
    sync::Barrier,
    time::{Instant, sleep},
};

use crate::{
    act::{next, put},
    load::PATIENCE,
    server::Etcd,
};

#[tokio::test]
async fn many_watchers_are_one_watch_of_etcd() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let start = store.revision().await.unwrap();
    let ranges = (0..200).map(|i| KeyRange::prefix(&format!("/{}/", i % 20)));
    let mut watches = try_join_all(ranges.map(|range| store.watch(range, start))).await.unwrap();
    let revision = put(&store, "/7/a").await.unwrap();
    assert_eq!(next(&mut watches[7]).await.revision(), revision);
    assert_eq!(next(&mut watches[187]).await.revision(), revision);
    assert_eq!(etcd.metric("etcd_debugging_mvcc_watcher_total", ""), 1.0);
}

/// A watch that is asked what happened up to a commit elsewhere answers when it knows, which may be a little later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_is_asked_tells_that_nothing_concerned_it() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let mut watch = store.watch(KeyRange::prefix("/a/"), store.revision().await.unwrap()).await.unwrap();
    for _ in 0..500 {
        let revision = put(&store, "/elsewhere").await.unwrap();
        let told = async {
            loop {
                let batch = watch.next().await.unwrap().unwrap();
                assert!(batch.events.is_empty());
                if batch.revision >= revision {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("the watch does not answer");
    }
}

/// The watch reads the past for itself, and then is a watch of its own no longer.
#[tokio::test]
async fn a_watch_of_the_past_joins_the_others() {
    let etcd = Etcd::start().await;
    let writer = etcd.store().await;
    let start = writer.revision().await.unwrap();
    for _ in 0..10 {
        put(&writer, "/a").await.unwrap();
    }
    drop(writer);
    let store = etcd.store().await;
    let mut watches = try_join_all((0..10).map(|_| store.watch(KeyRange::prefix("/"), start))).await.unwrap();
    let last = put(&store, "/a").await.unwrap();
    for watch in &mut watches {
        let revisions: Vec<_> =
            crate::act::through(watch, last).await.iter().map(orchestra_core::store::Event::revision).collect();
        assert!(revisions.iter().copied().eq(start + 1..=last), "{revisions:?}");
        assert!(futures::poll!(watch.next()).is_pending());
    }
    let begun = Instant::now();
    while etcd.metric("etcd_debugging_mvcc_watcher_total", "") > 1.0 {
        assert!(begun.elapsed() < PATIENCE, "the watches stay");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn callers_who_ask_for_the_revision_together_share_one_request() {
    const CALLERS: usize = 64;
    const ROUNDS: usize = 50;
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let asked = || etcd.metric("grpc_server_handled_total", "grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\"");
    let before = asked();
    let barrier = Arc::new(Barrier::new(CALLERS));
    let callers = (0..CALLERS).map(|_| {
        let (store, barrier) = (store.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                barrier.wait().await;
                store.revision().await.unwrap();
            }
        })
    });
    try_join_all(callers).await.unwrap();
    let requests = asked() - before;
    // One a round; it is not begun as soon as the first caller comes, which all others would have to wait for.
    assert!(requests >= ROUNDS as f64 && requests <= (ROUNDS + ROUNDS / 4) as f64, "{requests} requests");
}

#[tokio::test]
async fn keys_that_expire_together_share_a_lease() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let ttl = Duration::from_secs(3_600);
    let puts = (0..100).map(|i| {
        let put = Transaction::new().put_with_ttl(format!("/{i}"), "1", Precondition::Absent, ttl);
        store.commit(put)
    });
    let begun = Instant::now();
    try_join_all(puts).await.unwrap();
    let seconds = begun.elapsed().as_secs() as usize + 2;
    let leases = || etcd.ctl(&["lease", "list"]).lines().skip(1).map(str::to_owned).collect::<Vec<String>>();
    assert!((1..=seconds).contains(&leases().len()), "{:?}", leases());
    // What took them away is no reason for a commit to fail.
    for lease in leases() {
        etcd.ctl(&["lease", "revoke", &lease]);
    }
    assert!(store.list(&KeyRange::prefix("/"), Default::default()).await.unwrap().entries.is_empty());
    store.commit(Transaction::new().put_with_ttl("/a", "1", Precondition::Absent, ttl)).await.unwrap();
    assert!(store.get("/a", ReadAt::Latest).await.unwrap().is_some());
    assert_eq!(leases().len(), 1);
}

#[tokio::test]
async fn nothing_is_left_of_a_store_that_is_dropped() {
    let etcd = Etcd::start().await;
    let before = Handle::current().metrics().num_alive_tasks();
    let options = crate::server::connect(orchestra_store::etcd::EtcdStoreOptions {
        compaction_interval: Some(Duration::from_secs(300)),
        ..etcd.options()
    });
    let store = options.await;
    let start = store.revision().await.unwrap();
    put(&store, "/a").await.unwrap();
    let mut watch = store.watch(KeyRange::prefix("/"), start).await.unwrap();
    let late = etcd.store().await;
    let mut past = late.watch(KeyRange::prefix("/"), start).await.unwrap();
    next(&mut watch).await;
    next(&mut past).await;
    assert!(Handle::current().metrics().num_alive_tasks() > before);
    drop((store.clone(), store, late));
    assert!(watch.next().await.is_none(), "the watch of a store that is gone goes on");
    assert!(past.next().await.is_none(), "the watch of a store that is gone goes on");
    let begun = Instant::now();
    while Handle::current().metrics().num_alive_tasks() > before {
        assert!(begun.elapsed() < PATIENCE, "{} tasks are left", Handle::current().metrics().num_alive_tasks());
        sleep(Duration::from_millis(5)).await;
    }
}
