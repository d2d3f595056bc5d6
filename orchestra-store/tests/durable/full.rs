//! A full disk. The child's files may not grow beyond a limit, which the kernel enforces as it does a disk's end, but with words
//! of its own; `prlimit`, of util-linux, sets it and lifts it.

use std::{
    io::{self, Write},
    process::{self, Command},
    sync::Arc,
    time::Duration,
};

use orchestra_core::store::{Precondition, ReadAt, Revision, Store, StoreError, Transaction};
use orchestra_store::DurableStore;
use parking_lot::Mutex;

use crate::{
    child::{self, Child},
    harness::{Place, WITNESS, events, open, picture},
};

/// Bytes of a file.
const LIMIT: u64 = 6 << 20;
const CALLERS: u64 = 16;

/// Starts a child whose disk is soon full.
fn start(test: &str, place: &Place) -> Child {
    // A process that does not ignore the signal of the limit is ended by it.
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={LIMIT}:unlimited")).args(["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe().expect("this program"));
    Child::start_by(command, test, place.path())
}

#[tokio::test]
async fn a_full_disk_refuses_commits_until_there_is_room() {
    let place = Place::new();
    let mut process = start("full::child_fills_the_disk", &place);
    let acknowledged: Revision = process.line().expect("the child fills the disk").parse().unwrap();
    let after: Revision = process.line().expect("the child goes on with more room").parse().unwrap();
    assert!(process.wait().success());
    assert!(after > acknowledged);
    let store = open(&place);
    assert_eq!(store.revision().await.unwrap(), after);
    // Revisions are without a gap, and each is of one key.
    assert_eq!(events(&store, 0, after).await.len(), after as usize);
}

/// The same on a disk that is really full:
/// `mount -t tmpfs -o size=12m none /mnt/small && ORCHESTRA_SMALL_DISK=/mnt/small cargo test -p orchestra-store --test durable -- --ignored`.
#[tokio::test]
#[ignore = "needs the folder ORCHESTRA_SMALL_DISK on a file system of 8 to 64 MiB"]
async fn a_full_file_system_refuses_commits_until_there_is_room() {
    let disk = std::path::PathBuf::from(std::env::var_os("ORCHESTRA_SMALL_DISK").expect("a small file system"));
    let (ballast, folder) = (disk.join("ballast"), disk.join("store"));
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let store = DurableStore::open(&folder).unwrap();
    let (acknowledged, words) = fill(store.clone(), 0).await;
    assert!(words.contains("os error 28"), "{words}");
    let newest = acknowledged.len() as Revision;
    reads_go_on(&store, newest).await;
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(commits_again(&store).await, newest + 1);
    let before = picture(&store).await;
    drop(store);
    assert_eq!(picture(&DurableStore::open(&folder).unwrap()).await, before);
    std::fs::remove_dir_all(folder).unwrap();
}

/// What is told of in the log while `run` runs.
fn log_of(run: impl FnOnce()) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = Lines(Arc::clone(&lines));
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, run);
    let lines = lines.lock();
    String::from_utf8(lines.clone()).expect("UTF-8")
}

#[derive(Clone)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A process that dies in the middle of a write leaves what it had begun; it is known by what it had noted before.
#[tokio::test]
async fn a_write_that_was_cut_short_is_told_when_the_store_is_opened() {
    let place = Place::new();
    let mut process = start("full::child_fills_the_disk_and_waits", &place);
    let acknowledged: Revision = process.line().expect("the child fills the disk").parse().unwrap();
    process.kill();
    let log = log_of(|| drop(open(&place)));
    let dropped = format!("from={} to={}", acknowledged + 1, acknowledged + 1);
    assert!(log.contains("WARN") && log.contains("are dropped") && log.contains(&dropped), "{log}");
    assert_eq!(open(&place).revision().await.unwrap(), acknowledged);
    assert_eq!(log_of(|| drop(open(&place))), "", "a store that was closed has nothing to tell");
}

/// Not a test by itself: a process whose last write fails, and that never comes to more.
#[tokio::test]
async fn child_fills_the_disk_and_waits() {
    let Some(folder) = child::folder() else { return };
    let store = DurableStore::open(&folder).unwrap();
    let (acknowledged, _) = fill(store.clone(), 0).await;
    // Some are refused without being begun; what is begun is noted.
    let noted = || std::fs::read(folder.join(WITNESS)).unwrap();
    let (before, mut pause) = (noted(), tokio::time::interval(Duration::from_millis(20)));
    while noted() == before {
        pause.tick().await;
        refusal(store.commit(put("/more", "x")).await);
    }
    child::tell(&acknowledged.len().to_string());
    std::future::pending::<()>().await;
}

/// Not a test by itself: the process whose disk is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_fills_the_disk() {
    let Some(folder) = child::folder() else { return };
    let store = DurableStore::open(&folder).unwrap();
    let callers: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(fill(store.clone(), caller))).collect();
    let mut acknowledged = Vec::new();
    for caller in callers {
        let (revisions, words) = caller.await.unwrap();
        assert!(words.contains("os error 27"), "{words}");
        acknowledged.extend(revisions);
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
        Err(StoreError::NoSpace(words)) => words,
        other => panic!("{other:?} where there is no room"),
    }
}

/// Commits until there is no room; the revisions that were acknowledged, and the words of the refusal.
async fn fill(store: DurableStore, caller: u64) -> (Vec<Revision>, String) {
    let mut revisions = Vec::new();
    loop {
        match store.commit(put(&format!("/{caller}/{}", revisions.len()), &"x".repeat(3_000))).await {
            Ok(revision) => revisions.push(revision),
            error => return (revisions, refusal(error)),
        }
    }
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
