//! A full disk. The child's files may not grow beyond a limit, which the kernel enforces as it does a disk's end, but with words
//! of its own; `prlimit`, of util-linux, sets it and lifts it.

use std::{
    process::{self, Command},
    time::Duration,
};

use orchestra_core::store::{Precondition, ReadAt, Revision, Store, StoreError, Transaction};
use orchestra_store::DurableStore;

use crate::{
    child::{self, Child},
    harness::{Place, events, open, picture},
};

/// Bytes of a file.
const LIMIT: u64 = 3 << 20;
const CALLERS: u64 = 16;

#[tokio::test]
async fn a_full_disk_refuses_commits_until_there_is_room() {
    let place = Place::new();
    // A process that does not ignore the signal of the limit is ended by it.
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={LIMIT}:unlimited")).args(["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().unwrap());
    let mut process = Child::start_by(command, "full::child_fills_the_disk", place.path());
    let acknowledged: Revision = process.line().expect("the child fills the disk").parse().unwrap();
    let after: Revision = process.line().expect("the child goes on with more room").parse().unwrap();
    assert!(process.wait().success());
    assert!(after > acknowledged);
    let store = open(&place);
    assert_eq!(store.revision().await.unwrap(), after);
    // Revisions are without a gap, and each is of one key.
    assert_eq!(events(&store, 0, after).await.len(), after as usize);
}

/// Not a test by itself: the process whose disk is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_fills_the_disk() {
    let Some(folder) = child::folder() else { return };
    let store = DurableStore::open(&folder).unwrap();
    let callers: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(fill(store.clone(), caller))).collect();
    let mut acknowledged = Vec::new();
    for caller in callers {
        acknowledged.extend(caller.await.unwrap());
    }
    acknowledged.sort_unstable();
    let newest = acknowledged.len() as Revision;
    assert_eq!(acknowledged, (1..=newest).collect::<Vec<_>>(), "what was refused has no revision");
    reads_go_on(&store, newest).await;
    child::tell(&newest.to_string());

    let full = refusal(store.commit(put("/more", "x")).await);
    assert!(full.contains("os error 27") && full.contains(&*folder.to_string_lossy()), "{full}");
    let lifted =
        Command::new("prlimit").args(["--pid", &process::id().to_string(), "--fsize=unlimited:unlimited"]).status();
    assert!(lifted.unwrap().success());
    let revision = commits_again(&store).await;
    assert_eq!(revision, newest + 1);
    let backup = Place::new();
    assert_eq!(store.backup(backup.path()).await.unwrap(), revision);
    let before = picture(&store).await;
    drop(store);
    assert_eq!(picture(&DurableStore::open(&folder).unwrap()).await, before);
    child::tell(&revision.to_string());
}

fn put(key: &str, value: &str) -> Transaction {
    Transaction::new().put(key, value.to_owned(), Precondition::Absent)
}

/// The words of a refusal for want of room.
fn refusal(outcome: Result<Revision, StoreError>) -> String {
    match outcome {
        Err(StoreError::Unavailable(words)) => words,
        other => panic!("{other:?} where there is no room"),
    }
}

/// Commits until there is no room; the revisions that were acknowledged.
async fn fill(store: DurableStore, caller: u64) -> Vec<Revision> {
    let mut revisions = Vec::new();
    for round in 0.. {
        match store.commit(put(&format!("/{caller}/{round}"), &"x".repeat(3_000))).await {
            Ok(revision) => revisions.push(revision),
            error => {
                assert!(refusal(error).contains("os error 27"));
                break;
            }
        }
    }
    revisions
}

async fn reads_go_on(store: &DurableStore, newest: Revision) {
    assert_eq!(store.revision().await.unwrap(), newest);
    assert!(store.get("/0/0", ReadAt::Latest).await.unwrap().is_some());
    assert!(store.get("/more", ReadAt::Latest).await.unwrap().is_none());
    assert_eq!(events(store, 0, newest).await.len(), newest as usize);
    let refused = store.commit(put("/more", "x")).await;
    refusal(refused);
    assert_eq!(store.revision().await.unwrap(), newest);
}

/// Tries until it goes well, as a client would.
async fn commits_again(store: &DurableStore) -> Revision {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        pause.tick().await;
        match store.commit(put("/more", "x")).await {
            Ok(revision) => return revision,
            error => refusal(error),
        };
    }
}
