//! Three members, of which some fail.

use std::time::Duration;

use orchestra_core::store::{KeyRange, Precondition, ReadAt, Store, Transaction};
use orchestra_store::etcd::EtcdStoreOptions;

use crate::{
    load::{Load, Observer, verify},
    server::{Etcd, connect, free_ports, options},
};

const SOME: usize = 300;

/// The place of the member that leads.
pub(crate) fn leader(members: &[Etcd]) -> usize {
    let leads = |member: &Etcd| {
        let status: serde_json::Value =
            serde_json::from_str(&member.ctl(&["endpoint", "status", "--write-out=json"])).expect("etcdctl's JSON");
        let status = &status[0]["Status"];
        status["leader"] == status["header"]["member_id"]
    };
    members.iter().position(leads).expect("one of three leads")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_leader_is_killed() {
    let mut members = Etcd::start_cluster(3).await;
    let store = connect(options(members.iter().map(Etcd::url))).await;
    let start = store.revision().await.unwrap();
    let observers = vec![Observer::start(&store, start).await];
    let load = Load::start(&store);
    for _ in 0..2 {
        load.goes_on(SOME).await;
        let leader = leader(&members);
        members[leader].kill();
        load.goes_on(SOME).await;
        members[leader].restart().await;
    }
    load.goes_on(SOME).await;
    let written = load.stop().await;
    verify(&store, start, &written, observers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_done_and_then_all_is_well() {
    let mut members = Etcd::start_cluster(3).await;
    let store =
        connect(EtcdStoreOptions { request_timeout: Duration::from_secs(1), ..options(members.iter().map(Etcd::url)) })
            .await;
    let start = store.revision().await.unwrap();
    let observers = vec![Observer::start(&store, start).await];
    let load = Load::start(&store);
    load.goes_on(SOME).await;
    members[0].kill();
    members[1].kill();
    load.fails().await;
    assert!(store.get("/load/0/0", ReadAt::Latest).await.is_err(), "a read that may be old is not given");
    members[0].restart().await;
    load.goes_on(SOME).await;
    let written = load.stop().await;
    verify(&store, start, &written, observers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_down_is_passed_over() {
    let etcd = Etcd::start().await;
    etcd.store().await;
    let dead = format!("http://127.0.0.1:{}", free_ports().0);
    let endpoints = [dead, etcd.url()];
    let store = connect(options(endpoints)).await;
    for round in 0..20 {
        let put = Transaction::new().put(format!("/{round}"), "1", Precondition::Absent);
        store.commit(put).await.unwrap();
    }
    assert_eq!(store.list(&KeyRange::prefix("/"), Default::default()).await.unwrap().entries.len(), 20);
}
