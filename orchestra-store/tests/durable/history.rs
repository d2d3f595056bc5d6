//! History across restarts, as far as it is kept, and what becomes of what is not.

use std::fs;

use orchestra_core::store::{ReadAt, Revision, Store, StoreError, Watcher};
use orchestra_store::DurableStore;

use crate::harness::{DATA, Place, all, delete, live, open, picture, put, state};

#[tokio::test]
async fn everything_kept_is_there_after_a_restart() {
    let place = Place::new();
    let store = open(&place);
    live(&store, 60).await;
    let before = picture(&store).await;
    drop(store);
    let store = open(&place);
    assert_eq!(picture(&store).await, before);
    live(&store, 5).await;
    let (before, rounds) = (picture(&store).await, 3);
    drop(store);
    for _ in 0..rounds {
        assert_eq!(picture(&open(&place)).await, before);
    }
}

#[tokio::test]
async fn what_was_compacted_is_so_after_a_restart() {
    let place = Place::new();
    let mut store = open(&place);
    live(&store, 40).await;
    let end = store.revision().await.unwrap();
    for horizon in [1, end / 2, end / 2 + 1, end - 1, end] {
        store.compact(horizon).await.unwrap();
        let before = picture(&store).await;
        assert_eq!(before.oldest, horizon);
        drop(store);
        store = open(&place);
        assert_eq!(picture(&store).await, before, "compacted at {horizon}");
        let old = store.get("/", ReadAt::Revision(horizon - 1)).await;
        assert_eq!(old, Err(StoreError::Compacted { requested: horizon - 1, oldest: horizon }));
        if horizon > 1 {
            assert!(matches!(store.watch(all(), horizon - 2).await, Err(StoreError::Compacted { .. })));
        }
    }
}

#[tokio::test]
async fn no_more_is_kept_than_it_is_told_to() {
    let place = Place::new();
    let few = || DurableStore::builder().retained_revisions(10).open(place.path()).unwrap();
    let store = few();
    live(&store, 20).await;
    let before = picture(&store).await;
    assert_eq!(before.revision - before.oldest, 9);
    drop(store);
    assert_eq!(picture(&few()).await, before);
    let fewer = DurableStore::builder().retained_revisions(4).open(place.path()).unwrap();
    let after = picture(&fewer).await;
    assert_eq!((after.revision, after.revision - after.oldest), (before.revision, 3));
    assert_eq!(after.states.last(), before.states.last());
}

/// A value large enough that some are worth a sweep.
fn large(round: usize) -> Vec<u8> {
    vec![round as u8; 48 << 10]
}

#[tokio::test]
async fn what_is_superseded_leaves_the_disk() {
    let place = Place::new();
    let few = || DurableStore::builder().retained_revisions(16).open(place.path()).unwrap();
    let store = few();
    for round in 0..2_000 {
        put(&store, &format!("/{}", round % 8), large(round)).await;
    }
    let length = fs::metadata(place.path().join(DATA)).unwrap().len();
    assert!(length < 40 << 20, "94 MiB were written, 1 MiB of it is kept, and {length} bytes are used");
    let before = picture(&store).await;
    drop(store);
    assert_eq!(picture(&few()).await, before);
}

#[tokio::test]
async fn what_was_deleted_does_not_come_back() {
    let place = Place::new();
    let open = || DurableStore::builder().retained_revisions(50).open(place.path()).unwrap();
    let mut store = open();
    let mut revision: Revision = 0;
    // Keys live for 100 rounds, so that their creation is swept before, after and with their deletion.
    for round in 0..1_000_usize {
        revision = put(&store, &format!("/short/{round:05}"), large(round)).await;
        put(&store, &format!("/long/{}", round % 300), round.to_string()).await;
        if round >= 100 {
            revision = delete(&store, &format!("/short/{:05}", round - 100)).await;
        }
        if round % 250 == 249 {
            let before = picture(&store).await;
            drop(store);
            store = open();
            assert_eq!(picture(&store).await, before, "in round {round}");
        }
    }
    let keys: Vec<_> =
        state(&store, revision).await.into_iter().filter(|entry| entry.key.starts_with("/short/")).collect();
    assert_eq!(keys.len(), 100);
}
