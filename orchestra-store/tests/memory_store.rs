//! What the memory store does beyond the contract: how much it keeps, and how it lives with runtimes.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use orchestra_core::{
    random::Generator,
    store::{Event, KeyRange, ListOptions, Precondition, ReadAt, Revision, Store, StoreError, Transaction, Watcher},
};
use orchestra_store::{MemoryStore, memory::MemoryStoreOptions};
use tokio::time::Instant;

async fn put(store: &MemoryStore, key: &str, bytes: usize) -> Revision {
    store.commit(Transaction::new().put(key, vec![b'x'; bytes], Precondition::None)).await.unwrap()
}

fn all() -> KeyRange {
    KeyRange::prefix("/")
}

#[tokio::test]
async fn it_keeps_no_more_revisions_than_it_is_told_to() {
    let store = MemoryStore::new(MemoryStoreOptions { retained_revisions: 3, ..MemoryStoreOptions::default() });
    for i in 0..10 {
        put(&store, &format!("/{}", i % 4), 1).await;
    }
    assert!(store.get("/0", ReadAt::Revision(8)).await.is_ok());
    let old = store.get("/0", ReadAt::Revision(7)).await;
    assert_eq!(old, Err(StoreError::Compacted { requested: 7, oldest: 8 }));
    assert!(store.watch(all(), 7).await.is_ok());
    assert!(matches!(store.watch(all(), 6).await, Err(StoreError::Compacted { .. })));
    assert_eq!(store.list(&all(), ListOptions::default()).await.unwrap().entries.len(), 4);
}

#[tokio::test]
async fn it_keeps_no_more_bytes_than_it_is_told_to() {
    let store = MemoryStore::new(MemoryStoreOptions { retained_bytes: 1_000, ..MemoryStoreOptions::default() });
    for i in 0..10 {
        put(&store, &format!("/{i}"), 400).await;
    }
    assert!(store.get("/0", ReadAt::Revision(9)).await.is_ok());
    assert!(matches!(store.get("/0", ReadAt::Revision(7)).await, Err(StoreError::Compacted { .. })));
    // What was before counts too.
    for i in 0..10 {
        store.commit(Transaction::new().delete(format!("/{i}"), Precondition::Exists)).await.unwrap();
    }
    assert!(store.get("/9", ReadAt::Revision(19)).await.is_ok());
    assert!(matches!(store.get("/9", ReadAt::Revision(17)).await, Err(StoreError::Compacted { .. })));
    put(&store, "/a", 5_000).await;
    assert!(store.get("/a", ReadAt::Latest).await.unwrap().is_some());
}

/// A value that is counted as long as it is there.
struct Counted(Vec<u8>, #[expect(dead_code, reason = "it is the count")] Arc<()>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// They are dropped some time after, many together; large ones sooner.
#[tokio::test]
async fn values_that_are_no_longer_kept_are_dropped() {
    const KEPT: usize = 10;
    for (bytes, most) in [(10, KEPT + 40), (1 << 20, KEPT + 2)] {
        let store = MemoryStore::new(MemoryStoreOptions { retained_revisions: KEPT, ..MemoryStoreOptions::default() });
        let count = Arc::new(());
        for _ in 0..200 {
            let value = Bytes::from_owner(Counted(vec![b'x'; bytes], Arc::clone(&count)));
            store.commit(Transaction::new().put("/a", value, Precondition::None)).await.unwrap();
            assert!(Arc::strong_count(&count) <= 1 + most, "{} of {bytes} bytes are there", Arc::strong_count(&count));
        }
        drop(store);
        assert_eq!(Arc::strong_count(&count), 1);
    }
}

/// Keys that come and go, over and over, of which only a short history is kept: their places are used again.
#[tokio::test]
async fn every_state_that_is_kept_is_what_it_was() {
    const KEPT: Revision = 20;
    const KEYS: u64 = 40;
    let options = MemoryStoreOptions { retained_revisions: KEPT as usize, ..MemoryStoreOptions::default() };
    let (store, generator) = (MemoryStore::new(options), Generator::seeded(1));
    let mut states = vec![BTreeMap::new()];
    for step in 0..1_000 {
        let (mut transaction, mut state) = (Transaction::new(), states.last().unwrap().clone());
        let first = generator.below(KEYS);
        for key in (first..KEYS).step_by(7) {
            let key = format!("/{key:02}");
            if generator.below(3) == 0 {
                transaction = transaction.put(&*key, step.to_string(), Precondition::None);
                state.insert(key, step.to_string());
            } else {
                state.remove(&key);
                transaction = transaction.delete(key, Precondition::None);
            }
        }
        if store.commit(transaction).await.unwrap() == states.len() as Revision {
            states.push(state);
        }
        let newest = states.len() as Revision - 1;
        if step % 50 == 49 {
            store.compact(newest - generator.below(3)).await.unwrap();
        }
        for revision in newest.saturating_sub(KEPT)..=newest {
            let options = ListOptions { at: ReadAt::Revision(revision), ..ListOptions::default() };
            let page = match store.list(&all(), options).await {
                Ok(page) => page,
                Err(StoreError::Compacted { oldest, .. }) if revision < oldest => continue,
                Err(error) => panic!("{error} at revision {revision}"),
            };
            let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
            let read: BTreeMap<String, String> =
                page.entries.iter().map(|entry| (entry.key.to_string(), text(&entry.value))).collect();
            assert_eq!(read, states[revision as usize], "at revision {revision} of {newest}");
            let key = format!("/{:02}", generator.below(KEYS));
            let got = store.get(&key, ReadAt::Revision(revision)).await.unwrap();
            assert_eq!(got.as_ref(), page.entries.iter().find(|entry| *entry.key == *key));
        }
        assert!(store.list(&all(), ListOptions::default()).await.is_ok());
    }
    let oldest = states.len() as Revision - KEPT;
    assert!(store.get("/00", ReadAt::Revision(states.len() as Revision - 1)).await.is_ok());
    assert!(matches!(store.get("/00", ReadAt::Revision(oldest - 2)).await, Err(StoreError::Compacted { .. })));
}

#[tokio::test]
async fn a_watcher_that_lags_is_held_to_the_number_and_the_bytes() {
    let few = MemoryStoreOptions { watch_lag: 5, ..MemoryStoreOptions::default() };
    let small = MemoryStoreOptions { retained_bytes: 1_000, ..MemoryStoreOptions::default() };
    for (options, fits, bytes) in [(few, 5, 1), (small, 2, 400)] {
        let store = MemoryStore::new(options);
        let mut watch = store.watch(all(), 0).await.unwrap();
        for i in 0..fits {
            put(&store, &format!("/a{i}"), bytes).await;
        }
        assert_eq!(watch.next().await.unwrap().unwrap().events.len(), fits);
        for i in 0..=fits {
            put(&store, &format!("/b{i}"), bytes).await;
        }
        let ended = watch.next().await.unwrap();
        assert_eq!(ended, Err(StoreError::SlowWatcher { revision: fits as Revision }));
        assert!(watch.next().await.is_none());
    }
}

#[tokio::test]
async fn a_watch_that_is_asked_tells_that_nothing_concerned_it() {
    let store = MemoryStore::default();
    let mut watch = store.watch(KeyRange::prefix("/a/"), 0).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    let now = put(&store, "/b/1", 1).await;
    let batch = watch.next().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!((batch.revision, batch.events.len()), (now, 0));
    assert!(watch.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn keys_expire_within_a_second_of_their_time() {
    let store = MemoryStore::default();
    let (begun, times) = (Instant::now(), [1_u64, 10, 1_500, 90_000].map(Duration::from_millis));
    let mut watch = store.watch(all(), 0).await.unwrap();
    for ttl in times {
        let key = format!("/{ttl:?}");
        store.commit(Transaction::new().put_with_ttl(key, "x", Precondition::None, ttl)).await.unwrap();
    }
    let mut due = times.iter();
    while due.len() > 0 {
        for event in watch.next().await.unwrap().unwrap().events {
            if matches!(event, Event::Delete { .. }) {
                let (ttl, after) = (*due.next().unwrap(), begun.elapsed());
                assert_eq!(**event.key(), format!("/{ttl:?}"));
                assert!(ttl <= after && after <= ttl + Duration::from_secs(1), "{ttl:?} took {after:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn more_keys_than_a_watcher_may_lag_can_expire_at_once() {
    const KEYS: usize = 10_000;
    let (store, ttl) = (MemoryStore::default(), Duration::from_secs(2));
    for key in 0..KEYS {
        let put = Transaction::new().put_with_ttl(format!("/{key}"), "x", Precondition::Absent, ttl);
        store.commit(put).await.unwrap();
    }
    let mut watch = store.watch(all(), KEYS as Revision).await.unwrap();
    let mut gone = 0;
    while gone < KEYS {
        gone += watch.next().await.unwrap().unwrap().events.len();
    }
    assert_eq!(gone, KEYS);
}

#[test]
fn keys_expire_without_a_runtime_and_after_one_has_ended() {
    let store = MemoryStore::default();
    let ttl = Duration::from_millis(20);
    let expiring = |key: &str| Transaction::new().put_with_ttl(key, "x", Precondition::None, ttl);
    store.commit(expiring("/without")).now_or_never().unwrap().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime().block_on(store.commit(expiring("/in-the-first"))).unwrap();
    let deleted = runtime().block_on(async {
        let now = store.revision().await.unwrap();
        let mut watch = store.watch(KeyRange::prefix("/in-the-second"), now).await.unwrap();
        store.commit(expiring("/in-the-second")).await.unwrap();
        let mut events = Vec::new();
        while events.len() < 2 {
            events.extend(watch.next().await.unwrap().unwrap().events);
        }
        events.len()
    });
    assert_eq!(deleted, 2);
    assert!(store.list(&all(), ListOptions::default()).now_or_never().unwrap().unwrap().entries.is_empty());
}
