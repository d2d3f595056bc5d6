//! The contract suite over etcd, each check with an etcd of its own, as some count revisions.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use orchestra_core::{
    random::Generator,
    store::{
        KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
    },
};
use orchestra_store::{EtcdStore, FaultyStore, RetryingStore, cache::CachedStore, contract, etcd::EtcdStoreOptions};

use crate::server::{Etcd, connect};

/// How many checks are under way together.
const AT_ONCE: usize = 6;

/// A store with the etcd behind it.
struct Owned {
    store: EtcdStore,
    _etcd: Etcd,
}

#[async_trait]
impl Watcher for Owned {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        self.store.watch(range, after).await
    }
}

#[async_trait]
impl Store for Owned {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        self.store.get(key, at).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        self.store.list(range, options).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.store.commit(transaction).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.store.revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.store.compact(revision).await
    }
}

async fn owned(options: impl FnOnce(EtcdStoreOptions) -> EtcdStoreOptions) -> Arc<dyn Store> {
    let etcd = Etcd::start().await;
    Arc::new(Owned { store: connect(options(etcd.options())).await, _etcd: etcd })
}

async fn keeps_the_contract(
    options: impl Fn(EtcdStoreOptions) -> EtcdStoreOptions,
    over: impl Fn(Arc<dyn Store>) -> Arc<dyn Store>,
) {
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
    let over = |etcd| -> Arc<dyn Store> {
        let line = FaultyStore::new(etcd, Generator::seeded(7))
            .failures(10)
            .lost_requests(5)
            .lost_answers(5)
            .broken_watches(10);
        Arc::new(RetryingStore::new(Arc::new(line)).limit(Duration::from_secs(60)))
    };
    keeps_the_contract(|options| options, over).await;
}
