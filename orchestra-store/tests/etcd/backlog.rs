//! Much history at once: for watchers that read it, and beside watchers that do not.

use std::time::Duration;

use futures::{StreamExt, future::try_join_all};
use orchestra_core::store::{Event, KeyRange, Precondition, Revision, Store, Transaction, Watcher};
use orchestra_store::{EtcdStore, etcd::EtcdStoreOptions};

use crate::{
    act::{put, through},
    proxy::{Line, Proxy},
    server::{Etcd, connect, options},
};

fn all() -> KeyRange {
    KeyRange::prefix("/")
}

/// Commits `count` values of 100 KiB; the result is the last one's revision.
async fn put_large(store: &EtcdStore, count: usize) -> Revision {
    let mut last = 0;
    for round in 0..count {
        let put = Transaction::new().put(format!("/{}", round % 3), vec![b'x'; 100 << 10], Precondition::None);
        last = store.commit(put).await.unwrap();
    }
    last
}

/// All that was missed is more than a watcher may lag behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_reads_gets_a_large_backlog_whole() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(options([proxy.url()])).await;
    let start = put(&store, "/0").await.unwrap();
    let mut watch = store.watch(all(), start).await.unwrap();
    proxy.set(Line::Cut);
    let last = put_large(&etcd.store().await, 400).await;
    proxy.set(Line::Whole);
    let events = through(&mut watch, last).await;
    assert!(events.iter().map(Event::revision).eq(start + 1..=last), "{} of 400 events", events.len());
}

/// All of them come over the connection that the store has for everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_of_the_past_that_nobody_reads_stop_nothing() {
    let etcd = Etcd::start().await;
    let writer = etcd.store().await;
    let start = writer.revision().await.unwrap();
    // As many as etcd tells at once, so that all the rest is yet to be sent to who has read these.
    for _ in 0..10 {
        try_join_all((0..100).map(|_| put(&writer, "/0"))).await.unwrap();
    }
    let last = put_large(&writer, 150).await;
    drop(writer);
    let store = connect(EtcdStoreOptions { request_timeout: Duration::from_secs(2), ..etcd.options() }).await;
    let mut unread = try_join_all((0..5).map(|_| store.watch(all(), start))).await.unwrap();
    let mut begun = try_join_all(unread.iter_mut().map(async |watch| watch.next().await.unwrap())).await.unwrap();
    let mut prompt = store.watch(all(), start).await.unwrap();
    through(&mut prompt, last).await;
    let mut newest = last;
    for _ in 0..100 {
        newest = put(&store, "/0").await.unwrap();
    }
    through(&mut prompt, newest).await;
    // Who reads late misses nothing.
    for (watch, batch) in unread.iter_mut().zip(&mut begun) {
        let mut events = std::mem::take(&mut batch.events);
        events.extend(through(watch, newest).await);
        assert!(events.iter().map(Event::revision).eq(start + 1..=newest), "{} events", events.len());
    }
}
