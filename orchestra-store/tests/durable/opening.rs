//! What cannot be opened, and why.

use std::fs;

use futures::StreamExt;
use orchestra_core::store::{KeyRange, ListOptions, Precondition, ReadAt, Store, StoreError, Transaction, Watcher};
use orchestra_store::{DurableStore, durable::OpenError};

use crate::{
    child::{self, Child},
    harness::{DATA, LOG, Place, WITNESS, files, live, open, picture, put},
};

fn refused(place: &Place) -> OpenError {
    DurableStore::open(place.path()).err().expect("the store does not open")
}

#[tokio::test]
async fn a_folder_is_opened_once_at_a_time() {
    let place = Place::new();
    let store = open(&place);
    let error = refused(&place);
    assert!(matches!(&error, OpenError::Locked { folder } if folder == place.path()), "{error}");
    assert!(error.to_string().contains(&*place.path().to_string_lossy()));
    let clone = store.clone();
    drop(store);
    assert!(matches!(refused(&place), OpenError::Locked { .. }));
    drop(clone);
    open(&place);
}

#[tokio::test]
async fn a_store_is_closed_with_its_last_clone_even_in_the_middle_of_commits() {
    let place = Place::new();
    for round in 0..20 {
        let store = open(&place);
        put(&store, "/acknowledged", round.to_string()).await;
        let abandoned = store.clone();
        tokio::spawn(async move { put(&abandoned, "/abandoned", round.to_string()).await }).abort();
        let mut unfinished = Box::pin(put(&store, "/unfinished", round.to_string()));
        assert!(futures::poll!(&mut unfinished).is_pending());
        drop(unfinished);
        drop(store);
        // The aborted task may hold its clone until the runtime has dropped it.
        tokio::task::yield_now().await;
        let entry = open(&place).get("/acknowledged", ReadAt::Latest).await.unwrap().unwrap();
        assert_eq!(entry.value, round.to_string());
    }
}

#[tokio::test]
async fn a_store_that_is_closed_answers_nobody_and_can_be_opened_again() {
    let place = Place::new();
    let store = DurableStore::open(place.path()).unwrap();
    let revision = store.commit(Transaction::new().put("/a", "1", Precondition::Absent)).await.unwrap();
    let mut watch = store.watch(KeyRange::prefix("/"), revision).await.unwrap();
    store.close();
    let refused =
        |answer: Result<(), StoreError>| assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    refused(store.get("/a", ReadAt::Latest).await.map(drop));
    refused(store.list(&KeyRange::prefix("/"), ListOptions::default()).await.map(drop));
    refused(store.commit(Transaction::new().delete("/a", Precondition::None)).await.map(drop));
    refused(store.revision().await.map(drop));
    refused(store.compact(revision).await);
    refused(store.watch(KeyRange::prefix("/"), revision).await.map(drop));
    assert!(watch.next().await.is_none());
    store.close();
    let again = DurableStore::open(place.path()).unwrap();
    assert_eq!(again.revision().await.unwrap(), revision);
}

#[test]
fn another_process_cannot_open_the_folder() {
    let place = Place::new();
    let store = open(&place);
    let mut process = Child::start("opening::child_opens_the_folder", place.path());
    assert_eq!(process.line().as_deref(), Some("locked"));
    assert!(process.wait().success());
    drop(store);
    let mut process = Child::start("opening::child_opens_the_folder", place.path());
    assert_eq!(process.line().as_deref(), Some("opened"));
    assert!(process.wait().success());
}

/// Not a test by itself: what [`another_process_cannot_open_the_folder`] starts.
#[test]
fn child_opens_the_folder() {
    let Some(folder) = child::folder() else { return };
    child::tell(match DurableStore::open(folder) {
        Ok(_) => "opened",
        Err(OpenError::Locked { .. }) => "locked",
        Err(_) => "another error",
    });
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = Place::new();
    drop(open(&place));
    fs::write(place.path().join("format"), "orchestra durable store, format 3\n").unwrap();
    let before = fs::read(place.path().join(DATA)).unwrap();
    let error = refused(&place);
    assert!(matches!(error, OpenError::NewerFormat { found: 3, known: 2, .. }), "{error}");
    assert_eq!(fs::read(place.path().join(DATA)).unwrap(), before);
}

/// A store of the time before there was a log.
#[tokio::test]
async fn a_store_of_the_first_format_is_opened_and_becomes_one_of_the_newest() {
    let place = Place::new();
    let store = open(&place);
    live(&store, 5).await;
    let expected = picture(&store).await;
    drop(store);
    let format = fs::read(place.path().join("format")).unwrap();
    fs::write(place.path().join("format"), "orchestra durable store, format 1\n").unwrap();
    fs::remove_file(place.path().join(LOG)).unwrap();
    assert_eq!(picture(&open(&place)).await, expected);
    assert_eq!(fs::read(place.path().join("format")).unwrap(), format);
}

/// More than the log holds, in groups of every size; and what is in neither file alone.
#[tokio::test]
async fn a_store_is_opened_by_what_its_log_and_its_data_have_together() {
    let place = Place::new();
    let store = open(&place);
    for round in 0..40 {
        put(&store, &format!("/large/{round}"), "x".repeat(round * 7_001)).await;
        put(&store, "/huge", "x".repeat(if round == 20 { 5 << 20 } else { 0 })).await;
        live(&store, 1).await;
        if round % 10 == 0 {
            store.compact(store.revision().await.unwrap() - 2).await.unwrap();
        }
        let expected = picture(&store).await;
        let killed = Place::copy_of(place.path());
        for _ in 0..2 {
            assert_eq!(picture(&open(&killed)).await, expected, "round {round}");
        }
    }
}

#[test]
fn a_folder_of_others_is_refused_and_left_alone() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join("thesis.tex"), "years of work").unwrap();
    assert!(matches!(refused(&place), OpenError::NotAStore { .. }));
    assert_eq!(files(place.path()), ["thesis.tex"]);
    let file = Place::new();
    fs::write(file.path(), "not a folder").unwrap();
    assert!(matches!(refused(&file), OpenError::Io { .. }));
}

#[tokio::test]
async fn no_file_of_a_store_may_be_missing() {
    let place = Place::new();
    let store = open(&place);
    live(&store, 5).await;
    drop(store);
    assert_eq!(files(place.path()), [WITNESS, DATA, "format", "lock", LOG]);
    for file in [WITNESS, DATA, "format", LOG] {
        let copy = Place::copy_of(place.path());
        fs::remove_file(copy.path().join(file)).unwrap();
        let left = files(copy.path());
        let error = refused(&copy);
        assert!(matches!(error, OpenError::Corrupt { .. } | OpenError::NotAStore { .. }), "without {file}: {error}");
        assert_eq!(files(copy.path()), left);
    }
}

#[tokio::test]
async fn a_store_whose_making_was_interrupted_is_made() {
    for leftover in [WITNESS, "format.new", "data.new", "log.new", LOG] {
        let place = Place::new();
        fs::create_dir(place.path()).unwrap();
        fs::write(place.path().join(leftover), "half").unwrap();
        put(&open(&place), "/a", "1").await;
        assert_eq!(open(&place).revision().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn lost_writes_are_told_from_which_to_which() {
    let place = Place::new();
    let store = open(&place);
    live(&store, 10).await;
    let early = Place::copy_of(place.path());
    let kept = picture(&store).await;
    live(&store, 10).await;
    let acknowledged = store.revision().await.unwrap();
    drop(store);
    for file in [DATA, LOG] {
        fs::copy(early.path().join(file), place.path().join(file)).unwrap();
    }
    for _ in 0..2 {
        let error = refused(&place);
        let told = matches!(error, OpenError::MissingWrites { recovered, acknowledged: lost, .. }
            if (recovered, lost) == (kept.revision, acknowledged));
        assert!(told, "{error}");
        let words = format!("revisions {} to {acknowledged} are missing", kept.revision + 1);
        assert!(error.to_string().contains(&words), "{error}");
    }
    let accepted = DurableStore::builder().accept_missing_writes(true).open(place.path()).unwrap();
    assert_eq!(picture(&accepted).await, kept);
    drop(accepted);
    assert_eq!(picture(&open(&place)).await, kept);
}
