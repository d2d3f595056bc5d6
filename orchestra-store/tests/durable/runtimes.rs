//! How the store lives with runtimes: with one, with none, and after one has ended.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use orchestra_core::store::{ListOptions, Precondition, Store, StoreError, Transaction, Watcher};

use crate::harness::{Place, all, open, put};

fn expiring(key: &str) -> Transaction {
    Transaction::new().put_with_ttl(key, "x", Precondition::None, Duration::from_millis(20))
}

#[test]
fn it_works_without_a_runtime_and_after_one_has_ended() {
    let place = Place::new();
    let store = open(&place);
    assert_eq!(store.commit(expiring("/without")).now_or_never().unwrap(), Ok(1));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime().block_on(store.commit(expiring("/in-the-first"))).unwrap();
    let deleted = runtime().block_on(async {
        let now = store.revision().await.unwrap();
        let mut watch = store.watch(all(), now).await.unwrap();
        store.commit(expiring("/in-the-second")).await.unwrap();
        let mut gone = Vec::new();
        while !gone.contains(&"/in-the-second".to_owned()) {
            let events = watch.next().await.unwrap().unwrap().events;
            gone.extend(events.iter().filter(|event| event.revision() > now + 1).map(|event| event.key().to_string()));
        }
        gone
    });
    assert!(deleted.contains(&"/in-the-second".to_owned()));
    assert!(store.list(&all(), ListOptions::default()).now_or_never().unwrap().unwrap().entries.is_empty());
}

/// Whoever no longer waits for an answer does not stop those who do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_are_not_waited_for_happen_or_not_and_hold_up_nobody() {
    let place = Place::new();
    let store = open(&place);
    for round in 0..200 {
        let unwanted = store.commit(Transaction::new().put("/unwanted", round.to_string(), Precondition::None));
        assert!(unwanted.now_or_never().is_none_or(|outcome| outcome.is_ok()));
        put(&store, "/wanted", round.to_string()).await;
    }
    let revision = store.revision().await.unwrap();
    assert!((200..=400).contains(&revision));
}

#[tokio::test]
async fn a_transaction_too_large_for_the_engine_is_refused_and_nothing_else() {
    let place = Place::new();
    let store = open(&place);
    let large = Transaction::new().put("/large", vec![0; (256 << 20) + 1], Precondition::None);
    assert!(matches!(store.commit(large).await, Err(StoreError::InvalidArgument(_))));
    assert_eq!(put(&store, "/a", vec![7; 20 << 20]).await, 1);
    drop(store);
    let store = open(&place);
    let entry = store.list(&all(), ListOptions::default()).await.unwrap().entries.remove(0);
    assert_eq!(entry.value, vec![7; 20 << 20]);
}
