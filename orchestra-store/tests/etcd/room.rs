//! A database that has reached its quota.

use std::{sync::Arc, time::Duration};

use orchestra_core::store::{Event, KeyRange, Precondition, ReadAt, Revision, Store, StoreError, Transaction, Watcher};
use orchestra_store::{RetryingStore, etcd::EtcdStore};

use crate::{act::through, server::Etcd};

/// Longer than a test may take.
const FOREVER: Duration = Duration::from_secs(3600);

fn large() -> Transaction {
    Transaction::new().put("/a", vec![b'x'; 100_000], Precondition::None)
}

/// Puts until etcd has no room any more.
async fn fill(store: &EtcdStore) -> StoreError {
    loop {
        if let Err(error) = store.commit(large()).await {
            return error;
        }
    }
}

async fn full() -> (Etcd, EtcdStore) {
    let etcd = Etcd::start_with(&["--quota-backend-bytes=1000000"]).await;
    let store = etcd.store().await;
    (etcd, store)
}

async fn newest(store: &EtcdStore) -> Revision {
    store.get("/a", ReadAt::Latest).await.unwrap().unwrap().mod_revision
}

/// Of the commit that fills the database etcd says too that there is no space, though it is done.
#[tokio::test]
async fn the_commit_that_fills_the_database_has_an_unknown_outcome_and_reads_go_on() {
    let (_etcd, store) = full().await;
    let mut watch = store.watch(KeyRange::prefix("/"), store.revision().await.unwrap()).await.unwrap();
    let error = fill(&store).await;
    let StoreError::OutcomeUnknown(why) = error else { panic!("{error:?}") };
    assert!(why.contains("space exceeded"), "{why}");
    let newest = newest(&store).await;
    assert_eq!(through(&mut watch, newest).await.last().map(Event::revision), Some(newest));
}

#[tokio::test]
async fn a_full_database_is_told_as_such_and_takes_deletes_until_there_is_room() {
    let (etcd, store) = full().await;
    fill(&store).await;
    let before = newest(&store).await;
    let error = store.commit(large()).await.unwrap_err();
    let StoreError::NoSpace(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("NOSPACE"), "{why}");
    assert_eq!(newest(&store).await, before, "nothing was done");

    let deleted = store.commit(Transaction::new().delete("/a", Precondition::Exists)).await.unwrap();
    assert!(deleted > before);
    store.compact(deleted).await.unwrap();
    etcd.ctl(&["defrag"]);
    etcd.ctl(&["alarm", "disarm"]);
    let again = store.commit(large()).await.unwrap();
    assert!(again > deleted);
}

/// As the API server has it: the outcome of the first is looked for, and none takes the time for which failures are tried again.
#[tokio::test]
async fn a_full_database_is_not_waited_for() {
    let (_etcd, store) = full().await;
    let retrying = RetryingStore::new(Arc::new(store)).limit(FOREVER);
    let mut done = 0;
    let error = loop {
        match retrying.commit(large()).await {
            Ok(revision) => done = revision,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::OutcomeUnknown(_) | StoreError::NoSpace(_)), "{error:?}");
    let now = retrying.get("/a", ReadAt::Latest).await.unwrap().unwrap().mod_revision;
    assert_eq!(now, done, "each that was done is told as done");
    let error = retrying.commit(large()).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSpace(_)), "{error:?}");
}
