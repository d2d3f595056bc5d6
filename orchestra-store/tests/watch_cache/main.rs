//! The watch cache through its public face.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use orchestra_core::{
    random::Generator,
    store::{KeyRange, Precondition, Revision, Store, StoreError, Transaction},
};
use orchestra_store::{
    FaultyStore, MemoryStore, RecordingStore,
    cache::{Cache, CacheError, CacheWatch, CachedEvent, EventKind, Form, Freshness},
    recording::Step,
};

/// More events than the cache keeps.
const TOO_MANY: usize = 8_192 + 1_000;

fn cached(store: &MemoryStore) -> Cache {
    Cache::start(Arc::new(store.clone()), "/r/")
}

/// A line to `store` that can be cut.
fn line(store: &MemoryStore) -> FaultyStore {
    FaultyStore::new(Arc::new(store.clone()), Generator::seeded(0))
}

/// A cache over `store`, and the record of what it asks.
async fn recorded(store: impl Store) -> (RecordingStore, Cache) {
    let recording = RecordingStore::in_memory(Arc::new(store)).await.unwrap();
    (recording.clone(), Cache::start(Arc::new(recording), "/r/"))
}

fn lists(recording: &RecordingStore) -> usize {
    recording.trace().records.iter().filter(|record| matches!(record.step, Step::List { .. })).count()
}

async fn put(store: &MemoryStore, key: &str, value: &str) -> Revision {
    let put = Transaction::new().put(key, value.to_owned(), Precondition::None);
    store.commit(put).await.unwrap()
}

async fn delete(store: &MemoryStore, key: &str) -> Revision {
    store.commit(Transaction::new().delete(key, Precondition::Exists)).await.unwrap()
}

async fn value(cache: &Cache, key: &str) -> Option<Bytes> {
    cache.read(Freshness::Latest).await.unwrap().get(key).map(|entry| entry.value.clone())
}

fn all() -> KeyRange {
    KeyRange::prefix("/r/")
}

fn told(event: &CachedEvent) -> String {
    let verb = match event.kind() {
        EventKind::Added => "added",
        EventKind::Modified => "modified",
        EventKind::Deleted => "deleted",
    };
    format!("{verb} {}@{}", event.entry().key, event.revision)
}

async fn next(watch: &mut CacheWatch) -> Option<String> {
    let event = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("nothing comes");
    event.map(|event| told(&event.expect("the watch fails")))
}

/// Whether the watch ends for it has lost events.
async fn expired(watch: &mut CacheWatch) -> bool {
    let event = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("nothing comes");
    matches!(event, Some(Err(CacheError::Expired { .. }))) && watch.next().await.is_none()
}

#[tokio::test(start_paused = true)]
async fn a_latest_read_sees_every_commit_before_it() {
    let store = MemoryStore::default();
    let (recording, cache) = recorded(store.clone()).await;
    for i in 0..100 {
        let revision = put(&store, "/r/a", &i.to_string()).await;
        let snapshot = cache.read(Freshness::Latest).await.unwrap();
        assert_eq!(snapshot.revision, revision);
        assert_eq!(snapshot.get("/r/a").unwrap().value, i.to_string());
        let elsewhere = put(&store, "/other", "x").await;
        assert_eq!(cache.read(Freshness::Latest).await.unwrap().revision, elsewhere);
    }
    delete(&store, "/r/a").await;
    assert_eq!(value(&cache, "/r/a").await, None);
    assert_eq!(lists(&recording), 1, "reads are served without asking the store for more than its revision");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_latest_read_is_fresh_under_concurrency() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (store, cache) = (store.clone(), cache.clone());
            tokio::spawn(async move {
                let key = format!("/r/{task}");
                for i in 0..200 {
                    let revision = put(&store, &key, &i.to_string()).await;
                    let snapshot = cache.read(Freshness::Latest).await.unwrap();
                    assert!(snapshot.revision >= revision);
                    assert_eq!(snapshot.get(&key).unwrap().revision, revision);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_latest_read_asks_the_store_if_its_watch_does_not_tell_how_far_it_is() {
    let store = MemoryStore::default();
    let cache = Cache::start(Arc::new(line(&store).without_progress()), "/r/");
    put(&store, "/r/a", "1").await;
    let elsewhere = put(&store, "/other", "x").await;
    let snapshot = cache.read(Freshness::Latest).await.unwrap();
    assert!(snapshot.revision >= elsewhere);
    assert!(snapshot.get("/r/a").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_does_not_change() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    put(&store, "/r/a", "1").await;
    let snapshot = cache.read(Freshness::Latest).await.unwrap();
    put(&store, "/r/a", "2").await;
    put(&store, "/r/b", "2").await;
    assert_eq!(value(&cache, "/r/a").await.unwrap(), "2");
    assert_eq!(snapshot.get("/r/a").unwrap().value, "1");
    assert_eq!(snapshot.range(&all()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_of_the_past_shows_what_was_there() {
    let store = MemoryStore::default();
    let (recording, cache) = recorded(store.clone()).await;
    cache.read(Freshness::Latest).await.unwrap();
    let generator = Generator::seeded(3);
    let mut states = Vec::new();
    for i in 0..200 {
        let key = format!("/r/{}", generator.below(8));
        let change = match generator.below(3) {
            0 => Transaction::new().delete(key, Precondition::None),
            _ => Transaction::new().put(key, i.to_string(), Precondition::None),
        };
        let revision = store.commit(change).await.unwrap();
        states.push((revision, store.list(&all(), Default::default()).await.unwrap().entries));
        put(&store, "/other", "x").await;
    }
    for (revision, state) in states {
        for revision in [revision, revision + 1] {
            let snapshot = cache.read_at(revision).await.unwrap();
            assert_eq!(snapshot.revision, revision);
            let range = all();
            let shown: Vec<_> =
                snapshot.range(&range).map(|entry| (&entry.key, &entry.value, entry.revision)).collect();
            let expected: Vec<_> = state.iter().map(|entry| (&entry.key, &entry.value, entry.mod_revision)).collect();
            assert_eq!(shown, expected, "at {revision}");
        }
    }
    assert_eq!(lists(&recording), 1, "the store is not asked for the past");
}

#[tokio::test(start_paused = true)]
async fn a_past_whose_events_were_dropped_has_expired_and_a_future_is_refused() {
    let store = MemoryStore::default();
    let old = put(&store, "/r/a", "1").await;
    let now = put(&store, "/r/a", "2").await;
    let cache = cached(&store);
    assert!(matches!(cache.read_at(old).await, Err(CacheError::Expired { oldest, .. }) if oldest == now));
    assert_eq!(cache.read_at(now).await.unwrap().get("/r/a").unwrap().value, "2");
    assert!(matches!(cache.read_at(now + 1).await, Err(CacheError::Store(StoreError::FutureRevision { .. }))));
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_the_revision_it_must_not_be_older_than() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let now = put(&store, "/r/a", "1").await;
    let read = tokio::spawn({
        let cache = cache.clone();
        async move { cache.read(Freshness::NotOlderThan(now + 1)).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!read.is_finished());
    put(&store, "/r/a", "2").await;
    assert_eq!(read.await.unwrap().unwrap().get("/r/a").unwrap().value, "2");
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_does_not_come_is_too_new() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let now = put(&store, "/r/a", "1").await;
    let read = cache.read(Freshness::NotOlderThan(now + 5)).await;
    assert!(matches!(read, Err(CacheError::TooNew { requested, .. }) if requested == now + 5));
    let watch = cache.watch(all(), now + 5).await;
    assert!(matches!(watch, Err(CacheError::TooNew { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_an_old_revision_tells_what_came_after_it() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    cache.read(Freshness::Latest).await.unwrap();
    let first = put(&store, "/r/a", "1").await;
    put(&store, "/r/a", "2").await;
    put(&store, "/other", "x").await;
    put(&store, "/r/b", "1").await;
    delete(&store, "/r/a").await;
    let mut watch = cache.watch(all(), first).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), "modified /r/a@2");
    assert_eq!(next(&mut watch).await.unwrap(), "added /r/b@4");
    let deleted = watch.next().await.unwrap().unwrap();
    assert_eq!(told(&deleted), "deleted /r/a@5");
    assert_eq!(deleted.previous.as_ref().unwrap().value, "2");
    assert!(watch.next().now_or_never().is_none());
    put(&store, "/r/a", "3").await;
    assert_eq!(next(&mut watch).await.unwrap(), "added /r/a@6");
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_only_its_range() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let now = put(&store, "/r/ns/a", "1").await;
    let mut watch = cache.watch(KeyRange::prefix("/r/ns/"), now).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    put(&store, "/r/nso/a", "1").await;
    put(&store, "/r/ns/b", "1").await;
    assert_eq!(next(&mut watch).await.unwrap(), "added /r/ns/b@3");
}

#[tokio::test(start_paused = true)]
async fn a_watch_knows_how_far_it_is_when_nothing_comes_for_it() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let now = put(&store, "/r/ns/a", "1").await;
    let mut watch = cache.watch(KeyRange::prefix("/r/ns/"), now).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    let later = put(&store, "/r/other/a", "1").await;
    cache.read(Freshness::Latest).await.unwrap();
    assert_eq!(watch.progress(), later);
    put(&store, "/r/ns/b", "1").await;
    cache.read(Freshness::Latest).await.unwrap();
    assert_eq!(watch.progress(), later, "an event that was not yielded counts as not seen");
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_first_list_has_expired() {
    let store = MemoryStore::default();
    let old = put(&store, "/r/a", "1").await;
    put(&store, "/r/a", "2").await;
    let cache = cached(&store);
    let watch = cache.watch(all(), old).await;
    assert!(matches!(watch, Err(CacheError::Expired { requested: 1, oldest: 2 })));
}

#[tokio::test(start_paused = true)]
async fn a_revision_whose_events_were_dropped_has_expired_and_who_waits_for_them_is_ended() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let start = put(&store, "/r/a", "0").await;
    let mut slow = cache.watch(all(), start).await.unwrap();
    for i in 0..TOO_MANY {
        put(&store, "/r/a", &i.to_string()).await;
        if i % 1_000 == 0 {
            cache.read(Freshness::Latest).await.unwrap();
        }
    }
    let newest = cache.read(Freshness::Latest).await.unwrap().revision;
    assert!(matches!(cache.watch(all(), start).await, Err(CacheError::Expired { .. })));
    assert!(expired(&mut slow).await);
    let mut current = cache.watch(all(), newest - 8_000).await.unwrap();
    for revision in newest - 7_999..=newest {
        assert_eq!(next(&mut current).await.unwrap(), format!("modified /r/a@{revision}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_not_behind_because_of_what_does_not_concern_it() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let start = put(&store, "/r/busy/a", "0").await;
    let mut quiet = cache.watch(KeyRange::prefix("/r/quiet/"), start).await.unwrap();
    assert!(quiet.next().now_or_never().is_none());
    for i in 0..TOO_MANY {
        put(&store, "/r/busy/a", &i.to_string()).await;
        if i % 1_000 == 0 {
            cache.read(Freshness::Latest).await.unwrap();
        }
    }
    let revision = put(&store, "/r/quiet/a", "1").await;
    assert_eq!(next(&mut quiet).await.unwrap(), format!("added /r/quiet/a@{revision}"));
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_of_the_store_is_resumed_without_a_gap() {
    let store = MemoryStore::default();
    let line = line(&store);
    let (recording, cache) = recorded(line.clone()).await;
    let start = put(&store, "/r/a", "1").await;
    let mut watch = cache.watch(all(), start).await.unwrap();
    line.cut();
    put(&store, "/r/b", "1").await;
    delete(&store, "/r/a").await;
    line.mend();
    assert_eq!(next(&mut watch).await.unwrap(), "added /r/b@2");
    assert_eq!(next(&mut watch).await.unwrap(), "deleted /r/a@3");
    assert_eq!(value(&cache, "/r/a").await, None);
    assert_eq!(lists(&recording), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_forgotten_is_listed_anew_and_ends_the_watches() {
    let store = MemoryStore::default();
    let line = line(&store);
    let cache = Cache::start(Arc::new(line.clone()), "/r/");
    let start = put(&store, "/r/a", "1").await;
    let mut watch = cache.watch(all(), start).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    line.cut();
    delete(&store, "/r/a").await;
    put(&store, "/r/b", "1").await;
    let now = put(&store, "/r/b", "2").await;
    store.compact(now).await.unwrap();
    line.mend();
    assert!(expired(&mut watch).await);
    let snapshot = cache.read(Freshness::Latest).await.unwrap();
    let range = all();
    let keys: Vec<&str> = snapshot.range(&range).map(|entry| &*entry.key).collect();
    assert_eq!(keys, ["/r/b"]);
    assert!(matches!(cache.watch(all(), start).await, Err(CacheError::Expired { .. })));
    let mut again = cache.watch(all(), snapshot.revision).await.unwrap();
    put(&store, "/r/c", "1").await;
    assert_eq!(next(&mut again).await.unwrap(), "added /r/c@5");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_encoded_once_for_all_watchers() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let start = put(&store, "/r/a", "1").await;
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(cache.watch(all(), start).await.unwrap());
    }
    put(&store, "/r/a", "2").await;
    let mut encoded = 0;
    let mut frames = Vec::new();
    for watch in &mut watches {
        let event = watch.next().await.unwrap().unwrap();
        frames.push(event.frame(Form::default(), |event| {
            encoded += 1;
            Bytes::from(told(event))
        }));
    }
    assert_eq!(encoded, 1);
    assert!(frames.iter().all(|frame| frame.as_ptr() == frames[0].as_ptr()));
}

#[tokio::test(start_paused = true)]
async fn a_value_is_the_stores_own() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    put(&store, "/r/a", "1").await;
    let stored = store.get("/r/a", Default::default()).await.unwrap().unwrap().value;
    assert_eq!(value(&cache, "/r/a").await.unwrap().as_ptr(), stored.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn watches_end_with_the_cache() {
    let store = MemoryStore::default();
    let cache = cached(&store);
    let start = put(&store, "/r/a", "1").await;
    let mut watch = cache.watch(all(), start).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    drop(cache);
    assert!(next(&mut watch).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_one_kind_does_not_delay_the_watches_of_another() {
    let store = Arc::new(MemoryStore::default());
    let (stormy, calm) = (Cache::start(store.clone(), "/stormy/"), Cache::start(store.clone(), "/calm/"));
    let now = calm.read(Freshness::Latest).await.unwrap().revision;
    let mut slow = stormy.watch(KeyRange::prefix("/stormy/"), now).await.unwrap();
    let mut quick = calm.watch(KeyRange::prefix("/calm/"), now).await.unwrap();
    assert!(slow.next().now_or_never().is_none() && quick.next().now_or_never().is_none());
    for i in 0..2_000_u32 {
        let put = Transaction::new().put(format!("/stormy/{}", i % 10), i.to_string(), Precondition::None);
        store.commit(put).await.unwrap();
    }
    let put = Transaction::new().put("/calm/a", "1", Precondition::None);
    let revision = store.commit(put).await.unwrap();
    // Nobody has taken a single event of the storm when the other kind's event is there.
    assert_eq!(calm.read(Freshness::Latest).now_or_never().unwrap().unwrap().revision, revision);
    assert_eq!(told(&quick.next().now_or_never().unwrap().unwrap().unwrap()), format!("added /calm/a@{revision}"));
    assert_eq!(told(&slow.next().await.unwrap().unwrap()), "added /stormy/0@1");
}
