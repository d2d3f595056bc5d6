//! Backups of a store that goes on, and of what they are made again.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use orchestra_core::store::{Precondition, Store, Transaction};
use orchestra_store::{DurableStore, durable::OpenError};

use crate::harness::{Place, events, files, live, open, picture, put, state};

#[tokio::test]
async fn a_restored_store_is_as_it_was_with_its_history() {
    let (place, file, copy) = (Place::new(), Place::new(), Place::new());
    let store = open(&place);
    live(&store, 60).await;
    store.compact(50).await.unwrap();
    let expected = picture(&store).await;
    assert_eq!(store.backup(file.path()).await.unwrap(), expected.revision);
    live(&store, 3).await;
    for _ in 0..2 {
        assert_eq!(DurableStore::restore(file.path(), copy.path()).unwrap(), expected.revision);
        let restored = open(&copy);
        assert_eq!(picture(&restored).await, expected);
        assert_eq!(put(&restored, "/a", "goes on").await, expected.revision + 1);
        drop(restored);
        fs::remove_dir_all(copy.path()).unwrap();
        // An empty folder will do too.
        fs::create_dir(copy.path()).unwrap();
    }
}

#[tokio::test]
async fn an_empty_store_has_a_backup_too() {
    let (place, file, copy) = (Place::new(), Place::new(), Place::new());
    assert_eq!(open(&place).backup(file.path()).await.unwrap(), 0);
    assert_eq!(DurableStore::restore(file.path(), copy.path()).unwrap(), 0);
    assert_eq!(put(&open(&copy), "/a", "1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_is_one_state() {
    let place = Place::new();
    // However fast the writers are, the history goes back to the beginning.
    let open = |place: &Place| {
        let all = DurableStore::builder().retained_revisions(usize::MAX).retained_bytes(usize::MAX);
        all.open(place.path()).expect("the store opens")
    };
    let store = open(&place);
    put(&store, "/0/before", "x").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = |number: usize| {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let value = format!("{round} {}", "x".repeat(700));
                let both = Transaction::new().put(format!("/{number}/a"), value.clone(), Precondition::None).put(
                    format!("/{number}/b"),
                    value,
                    Precondition::None,
                );
                store.commit(both).await.expect("commits go on");
            }
        })
    };
    let writers: Vec<_> = (0..16).map(writer).collect();
    for _ in 0..5 {
        let (file, copy) = (Place::new(), Place::new());
        let asked = store.revision().await.unwrap();
        let revision = store.backup(file.path()).await.unwrap();
        assert!(revision >= asked, "what was acknowledged before is in it");
        DurableStore::restore(file.path(), copy.path()).unwrap();
        let restored = open(&copy);
        assert_eq!(restored.revision().await.unwrap(), revision);
        assert_eq!(state(&restored, revision).await, state(&store, revision).await);
        assert_eq!(events(&restored, 0, revision).await, events(&store, 0, revision).await);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_backup_is_told_and_leaves_nothing() {
    let (place, file, damaged, copy) = (Place::new(), Place::new(), Place::new(), Place::new());
    let store = open(&place);
    live(&store, 12).await;
    store.backup(file.path()).await.unwrap();
    let whole = fs::read(file.path()).unwrap();
    let refused = |bytes: &[u8], damage: &str| {
        fs::write(damaged.path(), bytes).unwrap();
        let error = DurableStore::restore(damaged.path(), copy.path()).expect_err(damage);
        assert!(matches!(&error, OpenError::Corrupt { place, .. } if place == damaged.path()), "{damage}: {error}");
        assert!(!copy.path().exists(), "{damage}");
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bytes, &format!("byte {at} flipped"));
        refused(&whole[..at], &format!("cut to {at} bytes"));
    }
    refused(&[&whole[..], b"more"].concat(), "more at the end");
    // A part that is missing as a whole, where every part that is there is good.
    let title = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1 + 8 + 8 + 4;
    let length = 8 + 12 + u64::from_le_bytes(whole[title..title + 8].try_into().unwrap()) as usize;
    refused(&[&whole[..title], &whole[title + length..]].concat(), "without its first part");
}

#[tokio::test]
async fn nothing_is_restored_over_something() {
    let (place, file) = (Place::new(), Place::new());
    let store = open(&place);
    live(&store, 3).await;
    store.backup(file.path()).await.unwrap();
    assert!(matches!(DurableStore::restore(file.path(), place.path()), Err(OpenError::Locked { .. })));
    let expected = picture(&store).await;
    drop(store);
    assert!(matches!(DurableStore::restore(file.path(), place.path()), Err(OpenError::NotAStore { .. })));
    assert_eq!(picture(&open(&place)).await, expected);
    let others = Place::new();
    fs::create_dir(others.path()).unwrap();
    fs::write(others.path().join("thesis.tex"), "years of work").unwrap();
    assert!(matches!(DurableStore::restore(file.path(), others.path()), Err(OpenError::NotAStore { .. })));
    assert_eq!(files(others.path()), ["thesis.tex"]);
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_is_told() {
    let place = Place::new();
    let store = open(&place);
    put(&store, "/a", "1").await;
    let nowhere = place.path().join("no such folder").join("backup");
    let error = store.backup(&nowhere).await.unwrap_err();
    assert!(error.to_string().contains("no such folder"), "{error}");
}
