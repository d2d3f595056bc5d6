//! Folders of a test's own, and what is in a store.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use futures::StreamExt;
use orchestra_core::store::{
    Event, KeyRange, KeyValue, ListOptions, Precondition, ReadAt, Revision, Store, StoreError, Transaction, Watcher,
};
use orchestra_store::DurableStore;

/// A path for a folder or a file that does not exist yet. Whatever is there at the end is removed.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("orchestra-durable-{}-{number}", std::process::id())))
    }

    /// A copy of a folder, which may be a store's that is open: it is as after a kill then.
    pub(crate) fn copy_of(folder: &Path) -> Self {
        let copy = Self::new();
        copy.become_copy_of(folder);
        copy
    }

    pub(crate) fn become_copy_of(&self, folder: &Path) {
        fs::create_dir_all(self.path()).expect("make a folder");
        for file in files(folder) {
            fs::copy(folder.join(&file), self.path().join(&file)).expect("copy a file");
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_file(&self.0);
    }
}

/// The names of the files of a folder, in order.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("read a folder");
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// The file of the data.
pub(crate) const DATA: &str = "data.redb";
/// The file of the newest groups, which the other does not have yet.
pub(crate) const LOG: &str = "log";
/// The file that tells what was acknowledged, and what was about to be written.
pub(crate) const WITNESS: &str = "acknowledged";

pub(crate) fn open(place: &Place) -> DurableStore {
    DurableStore::open(place.path()).expect("the store opens")
}

pub(crate) fn all() -> KeyRange {
    KeyRange::prefix("/")
}

pub(crate) async fn put(store: &DurableStore, key: &str, value: impl Into<Vec<u8>>) -> Revision {
    let transaction = Transaction::new().put(key, value.into(), Precondition::None);
    store.commit(transaction).await.expect("a put commits")
}

pub(crate) async fn delete(store: &DurableStore, key: &str) -> Revision {
    store.commit(Transaction::new().delete(key, Precondition::None)).await.expect("a delete commits")
}

/// Everything that can be read of a store.
#[derive(Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) revision: Revision,
    /// The oldest revision that can be read.
    pub(crate) oldest: Revision,
    /// The entries at the oldest revision, the newest, and some between.
    pub(crate) states: Vec<Vec<KeyValue>>,
    /// The events from the oldest revision on, batch by batch as a watch tells them.
    pub(crate) events: Vec<Event>,
}

pub(crate) async fn picture(store: &DurableStore) -> Picture {
    let revision = store.revision().await.expect("a revision");
    let oldest = match store.get("/", ReadAt::Revision(0)).await {
        Err(StoreError::Compacted { oldest, .. }) => oldest,
        other => other.map(|_| 0).expect("revision 0 is there or compacted"),
    };
    let mut states = Vec::new();
    let between = (revision - oldest) / 8 + 1;
    for at in (oldest..revision).step_by(between as usize).chain([revision]) {
        states.push(state(store, at).await);
    }
    Picture { revision, oldest, states, events: events(store, oldest.saturating_sub(1), revision).await }
}

/// The entries at a revision.
pub(crate) async fn state(store: &DurableStore, at: Revision) -> Vec<KeyValue> {
    let options = ListOptions { at: ReadAt::Revision(at), ..ListOptions::default() };
    store.list(&all(), options).await.expect("the revision is kept").entries
}

/// The events after one revision up to another.
pub(crate) async fn events(store: &DurableStore, after: Revision, until: Revision) -> Vec<Event> {
    let mut watch = store.watch(all(), after).await.expect("a watch from a kept revision");
    let (mut events, mut reached) = (Vec::new(), after);
    while reached < until {
        let batch = watch.next().await.expect("a watch goes on").expect("a watch goes well");
        reached = batch.revision;
        events.extend(batch.events.into_iter().filter(|event| event.revision() <= until));
    }
    events
}

/// A past of creations, changes, deletions and transactions, of `rounds` rounds.
pub(crate) async fn live(store: &DurableStore, rounds: usize) {
    for round in 0..rounds {
        let key = |i: usize| format!("/live/{}", (round + i) % 7);
        put(store, &key(0), format!("{round}: {}", "x".repeat(round * 37 % 900))).await;
        if round % 3 == 0 {
            delete(store, &key(3)).await;
        }
        let several = Transaction::new()
            .put(format!("/b/{}", round % 5), round.to_string(), Precondition::None)
            .delete(key(5), Precondition::None)
            .put(format!("/a/{}", round % 4), round.to_string(), Precondition::None);
        store.commit(several).await.expect("a transaction commits");
    }
}
