//! The contract suite over etcd, each check with an etcd of its own, as some count revisions.

use std::sync::Arc;

use orchestra_store::{
    cache::CachedStore,
    contract::{self, Subject},
    etcd::EtcdStoreOptions,
};

use crate::server::{Etcd, connect};

/// How many checks are under way together.
const AT_ONCE: usize = 6;

async fn owned(options: impl FnOnce(EtcdStoreOptions) -> EtcdStoreOptions) -> Subject {
    let etcd = Etcd::start().await;
    contract::guarded(connect(options(etcd.options())).await, etcd)
}

async fn keeps_the_contract(options: impl Fn(EtcdStoreOptions) -> EtcdStoreOptions, over: impl Fn(Subject) -> Subject) {
    let outcome = contract::run_together(AT_ONCE, async || over(owned(&options).await)).await;
    let lines: Vec<String> = outcome.err().into_iter().flatten().map(|violation| violation.to_string()).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_store_keeps_the_contract() {
    keeps_the_contract(|options| options, |etcd| etcd).await;
}

/// Nearly each watch begins before what the store remembers, and reads the past from etcd.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_store_keeps_the_contract_with_little_memory() {
    let little = |options| EtcdStoreOptions { retained_revisions: 2, watch_lag: 200, ..options };
    keeps_the_contract(little, |etcd| etcd).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watch_cache_over_etcd_keeps_the_contract() {
    keeps_the_contract(|options| options, |etcd| Arc::new(CachedStore::new(etcd, ""))).await;
}

/// No request is repeated: between the two others may delete what the first created, so that the second creates it again, which
/// `RetryingStore` says that it cannot tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_over_a_line_that_fails_keeps_the_contract_if_it_is_retried() {
    keeps_the_contract(|options| options, |etcd| contract::unreliable(etcd, 7, |line| line)).await;
}
