//! Times to live where etcd answers late, or not at all.

use std::time::Duration;

use futures::future::join_all;
use orchestra_core::store::{Precondition, Store, StoreError, Transaction};
use orchestra_store::etcd::EtcdStoreOptions;
use tokio::time::{sleep, timeout};

use crate::{
    load::PATIENCE,
    proxy::{Line, Proxy},
    server::{Etcd, connect, options},
};

const TTL: Duration = Duration::from_secs(60);

fn brief(key: &str) -> Transaction {
    Transaction::new().put_with_ttl(key, "1", Precondition::None, TTL)
}

/// The seconds that the lease of `key` has still to go.
fn left(etcd: &Etcd, key: &str) -> u64 {
    let read = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&etcd.ctl(arguments)).expect("etcdctl's JSON")
    };
    let lease = read(&["get", key, "--write-out=json"])["kvs"][0]["lease"].as_i64().expect("a lease");
    let told = read(&["lease", "timetolive", &format!("{lease:x}"), "--write-out=json"]);
    told["ttl"].as_u64().expect("a time to live")
}

/// The lease runs from when etcd granted it, which is long before the key is put.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_lives_its_time_though_its_lease_was_granted_slowly() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(options([proxy.url()])).await;
    proxy.set(Line::Late);
    let commit = tokio::spawn({
        let store = store.clone();
        async move { store.commit(brief("/a")).await }
    });
    proxy.swallows().await;
    sleep(Duration::from_secs(4)).await;
    proxy.set(Line::Whole);
    commit.await.unwrap().unwrap();
    let left = left(&etcd, "/a");
    // Less the second that this may have taken to ask.
    assert!(left + 1 >= TTL.as_secs(), "{left} s are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_wait_for_a_lease_wait_together() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(EtcdStoreOptions { request_timeout: Duration::from_secs(1), ..options([proxy.url()]) }).await;
    proxy.set(Line::Silent);
    let keys: Vec<String> = (0..200).map(|i| format!("/{i}")).collect();
    let commits = join_all(keys.iter().map(|key| store.commit(brief(key))));
    for committed in timeout(PATIENCE, commits).await.expect("they wait one after the other") {
        assert!(matches!(committed, Err(StoreError::Unavailable(_))), "{committed:?}");
    }
    proxy.set(Line::Whole);
    crate::act::serves(&store).await;
    store.commit(brief("/a")).await.unwrap();
    assert!(left(&etcd, "/a") + 1 >= TTL.as_secs());
}

/// A caller that goes away, as at the deadline of an API request, leaves the lease to the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_takes_no_lease_from_the_others() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(options([proxy.url()])).await;
    proxy.set(Line::Late);
    let commit = |key: &'static str| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(brief(key)).await })
    };
    let commits: Vec<_> = ["/gone", "/a", "/b"].map(commit).into();
    proxy.swallows().await;
    commits[0].abort();
    proxy.set(Line::Whole);
    for commit in commits.into_iter().skip(1) {
        commit.await.unwrap().unwrap();
    }
}
