//! One etcd that is killed, and one whose line is cut or falls silent.

use std::time::Duration;

use orchestra_core::store::{KeyRange, ReadAt, Store, StoreError, Watcher};
use orchestra_store::{EtcdStore, etcd::EtcdStoreOptions};

use crate::{
    act::{next, put, serves},
    load::{Load, Observer, verify},
    proxy::{Line, Proxy},
    server::{Etcd, connect, options},
};

/// How many writes are acknowledged before and after a fault.
const SOME: usize = 300;

/// A store whose requests fail after a second.
fn impatient(url: String) -> EtcdStoreOptions {
    EtcdStoreOptions { request_timeout: Duration::from_secs(1), ..options([url]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_etcd_is_killed_and_started_again() {
    let mut etcd = Etcd::start().await;
    let store = etcd.store().await;
    let start = store.revision().await.unwrap();
    let observers = vec![Observer::start(&store, start).await, Observer::start(&store, start).await];
    let load = Load::start(&store);
    for _ in 0..3 {
        load.goes_on(SOME).await;
        etcd.kill();
        load.fails().await;
        etcd.restart().await;
    }
    load.goes_on(SOME).await;
    let written = load.stop().await;
    assert!(!written.errors.is_empty());
    verify(&store, start, &written, observers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_line_is_cut_and_healed() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(impatient(proxy.url())).await;
    let start = store.revision().await.unwrap();
    let observers = vec![Observer::start(&store, start).await];
    let load = Load::start(&store);
    for _ in 0..5 {
        load.goes_on(SOME).await;
        proxy.set(Line::Cut);
        load.fails().await;
        // What others write meanwhile is not missed either.
        put(&etcd.store().await, "/elsewhere").await.unwrap();
        proxy.set(Line::Whole);
    }
    load.goes_on(SOME).await;
    let written = load.stop().await;
    verify(&store, start, &written, observers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_line_falls_silent() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(impatient(proxy.url())).await;
    let start = store.revision().await.unwrap();
    let observers = vec![Observer::start(&store, start).await];
    let load = Load::start(&store);
    for line in [Line::Silent, Line::Deaf] {
        load.goes_on(SOME).await;
        proxy.set(line);
        load.fails().await;
        proxy.set(Line::Whole);
    }
    load.goes_on(SOME).await;
    let written = load.stop().await;
    assert!(written.errors.iter().any(|error| matches!(error, StoreError::OutcomeUnknown(_))));
    verify(&store, start, &written, observers).await;
}

/// Nobody asks anything; etcd's pings find out that the connection is dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_notices_by_itself_that_the_line_is_silent() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(impatient(proxy.url())).await;
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(KeyRange::prefix("/a"), start).await.unwrap();
    proxy.set(Line::Silent);
    let revision = put(&etcd.store().await, "/a").await.unwrap();
    proxy.swallows().await;
    proxy.set(Line::Whole);
    assert_eq!(next(&mut watch).await.revision(), revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_told_as_unknown() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(impatient(proxy.url())).await;
    proxy.set(Line::Deaf);
    let committed = put(&store, "/a").await;
    assert!(matches!(committed, Err(StoreError::OutcomeUnknown(_))), "{committed:?}");
    let read = store.get("/a", ReadAt::Latest).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let direct = etcd.store().await;
    assert!(direct.get("/a", ReadAt::Latest).await.unwrap().is_some(), "it was done");
    proxy.set(Line::Whole);
    serves(&store).await;
    assert!(store.get("/a", ReadAt::Latest).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_could_not_be_sent_is_told_as_not_done() {
    let mut etcd = Etcd::start().await;
    let store = etcd.store().await;
    put(&store, "/a").await.unwrap();
    etcd.kill();
    // The first may be sent on the connection that is lost.
    let _ = put(&store, "/lost").await;
    for _ in 0..10 {
        let committed = put(&store, "/b").await;
        let Err(StoreError::Unavailable(why)) = committed else { panic!("{committed:?}") };
        assert!(why.contains("refused"), "{why}");
    }
    let connected = EtcdStore::connect(etcd.options()).await.err();
    assert!(matches!(connected, Some(StoreError::Unavailable(_))), "{connected:?}");
    etcd.restart().await;
    serves(&store).await;
    assert!(store.get("/b", ReadAt::Latest).await.unwrap().is_none());
    put(&store, "/b").await.unwrap();
}
