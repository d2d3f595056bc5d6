//! Each fault of a `FaultyStore`, seen from both sides of the line.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use orchestra_core::{
    random::Generator,
    store::{KeyRange, ListOptions, Precondition, ReadAt, Revision, Store, StoreError, Transaction, Watcher},
};
use orchestra_store::{FaultyStore, MemoryStore};
use tokio::time::Instant;

const CALLS: u64 = 200;
const SECOND: Duration = Duration::from_secs(1);

/// A sound store, and the line to it.
fn pair(seed: u64) -> (MemoryStore, FaultyStore) {
    let good = MemoryStore::default();
    (good.clone(), FaultyStore::new(Arc::new(good), Generator::seeded(seed)))
}

fn put(key: impl std::fmt::Display) -> Transaction {
    Transaction::new().put(format!("/{key}"), "x", Precondition::None)
}

async fn puts(store: &FaultyStore) -> Vec<Result<Revision, StoreError>> {
    futures::stream::iter(0..CALLS).then(|i| store.commit(put(i))).collect().await
}

fn unknown(result: &Result<Revision, StoreError>) -> bool {
    matches!(result, Err(StoreError::OutcomeUnknown(_)))
}

fn unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Whether `count` is what to expect of 20 percent of the calls.
fn is_a_fifth(count: usize) -> bool {
    (20..60).contains(&count)
}

#[tokio::test(start_paused = true)]
async fn without_settings_nothing_fails() {
    let (_, store) = pair(1);
    assert!(puts(&store).await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_are_not_done() {
    let (good, store) = pair(1);
    let store = store.failures(20);
    let failed = puts(&store).await.iter().filter(|result| unavailable(result)).count();
    assert!(is_a_fifth(failed), "{failed}");
    assert_eq!(good.revision().await.unwrap(), CALLS - failed as u64);
    let store = store.failures(100);
    assert!(unavailable(&store.get("/0", ReadAt::Latest).await));
    assert!(unavailable(&store.list(&KeyRange::prefix("/"), ListOptions::default()).await));
    assert!(unavailable(&store.revision().await));
    assert!(unavailable(&store.compact(1).await));
    assert!(unavailable(&store.watch(KeyRange::prefix("/"), 0).await));
}

#[tokio::test(start_paused = true)]
async fn commits_with_an_unknown_outcome_are_not_done_or_done_or_done_later() {
    for (name, faults) in [
        ("not", FaultyStore::lost_requests as fn(FaultyStore, u64) -> FaultyStore),
        ("done", FaultyStore::lost_answers),
        ("later", FaultyStore::late_requests),
    ] {
        let (good, store) = pair(2);
        let store = faults(store, 20).delay(SECOND);
        let unknown = puts(&store).await.iter().filter(|result| unknown(result)).count();
        assert!(is_a_fifth(unknown), "{name}: {unknown}");
        tokio::time::sleep(2 * SECOND).await;
        let expected = if name == "not" { CALLS - unknown as u64 } else { CALLS };
        assert_eq!(good.revision().await.unwrap(), expected, "{name}");
        assert!(store.get("/0", ReadAt::Latest).await.is_ok(), "{name}: reads have no such faults");
    }
}

#[tokio::test(start_paused = true)]
async fn late_requests_arrive_after_their_answer() {
    let (good, store) = pair(3);
    let store = store.late_requests(100).delay(SECOND);
    assert!(unknown(&store.commit(put(1)).await));
    assert_eq!(good.revision().await.unwrap(), 0);
    tokio::time::sleep(SECOND).await;
    assert_eq!(good.revision().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn repeated_requests_are_answered_as_the_first() {
    let (good, store) = pair(4);
    let store = store.repeated_requests(100);
    assert_eq!(store.commit(put(1)).await, Ok(1));
    assert_eq!(good.revision().await.unwrap(), 2);
    let created = Transaction::new().put("/new", "x", Precondition::Absent);
    assert_eq!(store.commit(created).await, Ok(3), "the second one's conflict is not told");
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_can_be_resumed_after_its_last_batch() {
    let (good, store) = pair(5);
    let store = store.broken_watches(20);
    let (mut seen, mut after, mut broken) = (0, 0, 0);
    for i in 0..CALLS {
        good.commit(put(i)).await.unwrap();
    }
    while after < CALLS {
        // One batch at a time, so that there are many.
        good.commit(put("more")).await.unwrap();
        let mut watch = store.watch(KeyRange::prefix("/"), after).await.unwrap();
        match watch.next().await.unwrap() {
            Ok(batch) => {
                seen += batch.events.len();
                after = batch.revision;
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable(_)));
                assert!(watch.next().await.is_none());
                broken += 1;
            }
        }
    }
    assert_eq!(seen as u64, after, "broken {broken} times");
}

#[tokio::test(start_paused = true)]
async fn early_compactions_leave_the_latest_revisions() {
    let (_, store) = pair(6);
    let store = store.early_compactions(5);
    let mut compacted = 0;
    for i in 1..=CALLS {
        assert_eq!(store.commit(put(i)).await, Ok(i));
        let old = store.get("/1", ReadAt::Revision(i.saturating_sub(5))).await;
        compacted += usize::from(matches!(old, Err(StoreError::Compacted { .. })));
        let far = store.get("/1", ReadAt::Latest).await;
        assert!(far.is_ok_and(|entry| entry.is_some()));
    }
    assert!((20..180).contains(&compacted), "{compacted}");
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_up_to_twice_the_delay_and_a_batch_up_to_the_lag() {
    let (_, store) = pair(7);
    let store = store.delay(SECOND).lag(10 * SECOND);
    let mut longest = Duration::ZERO;
    for i in 0..50 {
        let begun = Instant::now();
        store.commit(put(i)).await.unwrap();
        longest = longest.max(begun.elapsed());
    }
    assert!(SECOND < longest && longest < 2 * SECOND, "{longest:?}");
    let mut watch = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    let begun = Instant::now();
    watch.next().await.unwrap().unwrap();
    assert!(Duration::ZERO < begun.elapsed() && begun.elapsed() < 10 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn faults_can_be_switched_off_and_on() {
    let (_, store) = pair(8);
    let store = store.failures(100).broken_watches(100).delay(SECOND);
    store.switch_off();
    let mut watch = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    assert!(puts(&store).await.iter().all(Result::is_ok));
    assert!(watch.next().await.unwrap().is_ok());
    store.switch_on();
    assert!(unavailable(&store.commit(put(1)).await));
    store.switch_off();
    store.commit(put(2)).await.unwrap();
    assert!(watch.next().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_cut_ends_watches_and_calls_until_it_is_mended() {
    let (good, store) = pair(9);
    let mut watch = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    store.cut();
    good.commit(put(1)).await.unwrap();
    assert!(unavailable(&watch.next().await.unwrap()));
    assert!(watch.next().await.is_none());
    assert!(unavailable(&store.commit(put(2)).await));
    assert!(unavailable(&store.watch(KeyRange::prefix("/"), 0).await));
    store.mend();
    let mut watch = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().events.len(), 1);
    assert_eq!(store.commit(put(2)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_when_the_line_is_cut_learns_nothing() {
    let (good, store) = pair(10);
    let slow = store.clone().delay(60 * SECOND);
    let commit = tokio::spawn(async move { slow.commit(put(1)).await });
    while good.revision().await.unwrap() == 0 {
        tokio::time::sleep(SECOND / 100).await;
    }
    store.cut();
    assert!(unknown(&commit.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_progress_tells_only_changes() {
    let (good, store) = pair(11);
    let store = store.without_progress();
    let mut watch = store.watch(KeyRange::prefix("/a/"), 0).await.unwrap();
    good.commit(put("b/1")).await.unwrap();
    good.commit(put("a/1")).await.unwrap();
    let batch = watch.next().await.unwrap().unwrap();
    assert_eq!(batch.events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_course() {
    let course = async |seed| {
        let begun = Instant::now();
        let (good, store) = pair(seed);
        let store = store.failures(10).lost_requests(10).lost_answers(10).late_requests(10).delay(SECOND);
        let tasks = (0..4).map(|_| {
            tokio::spawn({
                let store = store.clone();
                async move { puts(&store).await }
            })
        });
        let results = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        (results, good.revision().await, begun.elapsed())
    };
    assert_eq!(course(12).await, course(12).await);
    assert_ne!(course(12).await, course(13).await);
}
