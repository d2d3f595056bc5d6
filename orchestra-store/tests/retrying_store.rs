//! What a `RetryingStore` makes of a store that fails, exactly.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use orchestra_core::{
    random::Generator,
    store::{
        Event, KeyRange, KeyValue, ListOptions, Precondition, ReadAt, Revision, Store, StoreError, Transaction, Watcher,
    },
};
use orchestra_store::{FaultyStore, MemoryStore, RetryingStore};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A sound store, the line to it, and what makes the line usable.
fn chain(seed: u64, faults: impl FnOnce(FaultyStore) -> FaultyStore) -> (MemoryStore, FaultyStore, RetryingStore) {
    let good = MemoryStore::default();
    let line = faults(FaultyStore::new(Arc::new(good.clone()), Generator::seeded(seed)));
    (good, line.clone(), RetryingStore::new(Arc::new(line)))
}

fn put(key: &str, value: impl ToString, precondition: Precondition) -> Transaction {
    Transaction::new().put(key, value.to_string(), precondition)
}

fn delete(key: &str, precondition: Precondition) -> Transaction {
    Transaction::new().delete(key, precondition)
}

async fn there(store: &MemoryStore, key: &str) -> Option<KeyValue> {
    store.get(key, ReadAt::Latest).await.unwrap()
}

/// A line on which `fault` befalls the first commit only.
async fn first_commit(
    fault: fn(FaultyStore, u64) -> FaultyStore,
    before: &[Transaction],
    transaction: Transaction,
) -> (Result<Revision, StoreError>, MemoryStore) {
    let (good, line, store) = chain(1, |line| fault(line, 100).delay(SECOND / 100));
    line.switch_off();
    for transaction in before {
        store.commit(transaction.clone()).await.unwrap();
    }
    line.switch_on();
    let committing = tokio::spawn(async move { store.commit(transaction).await });
    // The line is sound again after the first commit was on it, and before the second.
    tokio::time::sleep(SECOND / 500).await;
    line.switch_off();
    (committing.await.unwrap(), good)
}

const UNKNOWN: [fn(FaultyStore, u64) -> FaultyStore; 3] =
    [FaultyStore::lost_requests, FaultyStore::lost_answers, FaultyStore::late_requests];

#[tokio::test(start_paused = true)]
async fn a_creation_is_done_once() {
    for fault in UNKNOWN {
        let (told, good) = first_commit(fault, &[], put("/a", 1, Precondition::Absent)).await;
        assert_eq!(told, Ok(1));
        assert_eq!(there(&good, "/a").await.unwrap().mod_revision, 1);
        assert_eq!(good.revision().await, Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_done_once() {
    for fault in UNKNOWN {
        let before = [put("/a", 1, Precondition::Absent)];
        let (told, good) = first_commit(fault, &before, put("/a", 2, Precondition::Unchanged(1))).await;
        assert_eq!((told, good.revision().await), (Ok(2), Ok(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_done_once() {
    for fault in UNKNOWN {
        let before = [put("/a", 1, Precondition::Absent)];
        for precondition in [Precondition::Unchanged(1), Precondition::None, Precondition::Exists] {
            let (told, good) = first_commit(fault, &before, delete("/a", precondition)).await;
            assert_eq!((told, good.revision().await), (Ok(2), Ok(2)), "{precondition:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_without_precondition_is_done_once() {
    for fault in UNKNOWN {
        for before in [vec![], vec![put("/a", 1, Precondition::Absent)]] {
            let next = before.len() as Revision + 1;
            let (told, good) = first_commit(fault, &before, put("/a", 1, Precondition::None)).await;
            assert_eq!((told, good.revision().await), (Ok(next), Ok(next)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_can_be_done_again() {
    for fault in UNKNOWN {
        let before = [put("/a", 1, Precondition::Absent)];
        let nothing = Transaction::new().check("/a", Precondition::Unchanged(1)).delete("/b", Precondition::None);
        let (told, good) = first_commit(fault, &before, nothing).await;
        assert_eq!((told, good.revision().await), (Ok(1), Ok(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_the_stores_own() {
    for fault in UNKNOWN {
        let before = [put("/a", 1, Precondition::Absent), put("/a", 2, Precondition::Unchanged(1))];
        for (transaction, expected) in [
            (put("/a", 3, Precondition::Unchanged(1)), Precondition::Unchanged(1)),
            (put("/a", 3, Precondition::Absent), Precondition::Absent),
            // Equal to what is there, and yet not what made it.
            (put("/a", 2, Precondition::Absent), Precondition::Absent),
            (put("/a", 2, Precondition::Unchanged(7)), Precondition::Unchanged(7)),
        ] {
            let (told, good) = first_commit(fault, &before, transaction).await;
            let current = there(&good, "/a").await;
            assert_eq!(told, Err(StoreError::Conflict { key: "/a".into(), expected, current }));
        }
        let absent = put("/b", 1, Precondition::Exists).delete("/a", Precondition::Unchanged(1));
        let (told, _) = first_commit(fault, &before, absent).await;
        assert!(matches!(told, Err(StoreError::Conflict { key, .. }) if *key == *"/b"), "the first that fails is told");
    }
}

/// The store changes while the outcome of a commit of `transaction`, which was done, is not known yet.
async fn changed_since(before: &[Transaction], transaction: Transaction, after: &[Transaction]) -> Revision {
    let (good, line, store) = chain(2, |line| line.lost_answers(100).delay(SECOND));
    for transaction in before {
        good.commit(transaction.clone()).await.unwrap();
    }
    store.revision().await.unwrap();
    let then = good.revision().await.unwrap();
    let committing = tokio::spawn(async move { store.commit(transaction).await });
    while good.revision().await.unwrap() == then {
        tokio::time::sleep(SECOND / 100).await;
    }
    for transaction in after {
        good.commit(transaction.clone()).await.unwrap();
    }
    line.switch_off();
    let told = committing.await.unwrap().unwrap();
    assert_eq!(good.revision().await.unwrap(), then + 1 + after.len() as Revision, "it is not done again");
    told
}

#[tokio::test(start_paused = true)]
async fn a_change_is_found_behind_later_ones() {
    let before = [put("/a", 1, Precondition::None)];
    let change = put("/a", 2, Precondition::Unchanged(1));
    let later = |value| put("/a", value, Precondition::None);
    let gone = delete("/a", Precondition::Exists);
    assert_eq!(changed_since(&before, change.clone(), &[later(3), later(4)]).await, 2);
    assert_eq!(changed_since(&before, change.clone(), std::slice::from_ref(&gone)).await, 2);
    assert_eq!(changed_since(&before, change, &[gone.clone(), later(2), gone.clone()]).await, 2);
    assert_eq!(changed_since(&before, delete("/a", Precondition::Unchanged(1)), &[later(1)]).await, 2);
    assert_eq!(changed_since(&before, delete("/a", Precondition::None), &[later(1), gone]).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_creation_is_found_though_it_was_deleted() {
    let before = [put("/other", 1, Precondition::None)];
    let gone = delete("/a", Precondition::Exists);
    let theirs = put("/a", 2, Precondition::Absent);
    let created = put("/a", 1, Precondition::Absent);
    assert_eq!(changed_since(&before, created.clone(), std::slice::from_ref(&gone)).await, 2);
    assert_eq!(changed_since(&before, created.clone(), &[gone.clone(), theirs.clone()]).await, 2);
    assert_eq!(changed_since(&before, created, &[gone.clone(), theirs, gone]).await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_history_does_not_tell_stays_unknown() {
    let (good, line, store) = chain(3, |line| line.lost_answers(100).delay(SECOND / 100));
    good.commit(put("/a", 1, Precondition::None)).await.unwrap();
    let committing = tokio::spawn(async move { store.commit(put("/a", 2, Precondition::Unchanged(1))).await });
    while good.revision().await.unwrap() == 1 {
        tokio::time::sleep(SECOND / 1000).await;
    }
    good.commit(put("/a", 3, Precondition::None)).await.unwrap();
    good.compact(3).await.unwrap();
    line.switch_off();
    let told = committing.await.unwrap();
    assert!(matches!(told, Err(StoreError::OutcomeUnknown(_))), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_nothing_is_told_of_stays_unknown() {
    let (good, _, store) = chain(4, |line| line.lost_requests(100).without_progress());
    good.commit(put("/other", 1, Precondition::None)).await.unwrap();
    store.revision().await.unwrap();
    good.commit(put("/other", 2, Precondition::None)).await.unwrap();
    let begun = Instant::now();
    let told = store.commit(put("/a", 1, Precondition::Absent)).await;
    assert!(matches!(told, Err(StoreError::OutcomeUnknown(_))), "{told:?}");
    assert_eq!(begun.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_given_up_at_the_limit() {
    let (_, line, store) = chain(5, |line| line);
    let store = store.limit(3 * SECOND);
    let mut watch = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    line.cut();
    let begun = Instant::now();
    let unavailable = StoreError::Unavailable("the line to the store is down".to_owned());
    assert_eq!(store.get("/a", ReadAt::Latest).await, Err(unavailable.clone()));
    assert_eq!(store.commit(put("/a", 1, Precondition::Absent)).await, Err(unavailable.clone()));
    assert_eq!(begun.elapsed(), 6 * SECOND, "three seconds each");
    assert_eq!(watch.next().await, Some(Err(unavailable)));
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_back_is_not_missed() {
    let (good, line, store) = chain(6, |line| line);
    let mut watch = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    for round in 1..=20 {
        line.cut();
        let mend = async {
            tokio::time::sleep(4 * SECOND).await;
            line.mend();
        };
        let calls = async {
            assert_eq!(store.commit(put("/a", round, Precondition::None)).await, Ok(round));
            assert_eq!(store.list(&KeyRange::prefix("/"), ListOptions::default()).await.unwrap().entries.len(), 1);
        };
        let events = async {
            loop {
                let batch = watch.next().await.unwrap().unwrap();
                if !batch.events.is_empty() {
                    return batch.events;
                }
            }
        };
        let (_, _, events) = tokio::join!(mend, calls, events);
        assert_eq!(events.iter().map(|event| event.revision()).collect::<Vec<_>>(), [round]);
    }
    assert_eq!(good.revision().await, Ok(20));
}

#[tokio::test(start_paused = true)]
async fn increments_are_counted_once_whatever_happens_to_them() {
    for seed in 0..20 {
        let (good, line, store) = chain(seed, |line| {
            line.failures(10).lost_requests(10).lost_answers(10).late_requests(10).repeated_requests(10).delay(SECOND)
        });
        let store = Arc::new(store.limit(600 * SECOND));
        good.commit(put("/n", 0, Precondition::None)).await.unwrap();
        let tasks = (0..4).map(|task| tokio::spawn(increments(Arc::clone(&store), task)));
        let mut done: Vec<(Revision, u64)> =
            futures::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
        done.sort_unstable();
        line.switch_off();
        tokio::time::sleep(10 * SECOND).await;
        let expected: Vec<(Revision, u64)> = (1..=40).map(|i| (i + 1, i)).collect();
        assert_eq!(done, expected, "seed {seed}");
        assert_eq!(good.revision().await, Ok(41), "seed {seed}");
    }
}

/// Whatever is told of a commit is so; what cannot be found out is not told.
#[tokio::test(start_paused = true)]
async fn early_compaction_never_makes_an_answer_wrong() {
    let mut unknown = 0;
    for seed in 0..20 {
        let (good, line, store) = chain(seed, |line| {
            line.lost_requests(15).lost_answers(15).late_requests(15).early_compactions(50).delay(SECOND)
        });
        let mut watch = good.watch(KeyRange::single("/n"), 0).await.unwrap();
        let mut told = Vec::new();
        for i in 1..=30 {
            let base = good.get("/n", ReadAt::Latest).await.unwrap().map(|entry| entry.mod_revision);
            let change = put("/n", i, base.map_or(Precondition::Absent, Precondition::Unchanged));
            let committing = store.commit(change);
            let others = async {
                for j in 0..4 {
                    tokio::time::sleep(SECOND).await;
                    good.commit(put("/n", format!("{i} of others, {j}"), Precondition::None)).await.unwrap();
                    good.commit(put("/other", j, Precondition::None)).await.unwrap();
                }
            };
            match tokio::join!(committing, others).0 {
                Err(StoreError::OutcomeUnknown(_)) => unknown += 1,
                answer => told.push((i.to_string(), answer)),
            }
        }
        line.switch_off();
        tokio::time::sleep(10 * SECOND).await;
        let end = good.commit(put("/n", "end", Precondition::None)).await.unwrap();
        let mut done: HashMap<String, Vec<Revision>> = HashMap::new();
        while !done.contains_key("end") {
            for event in watch.next().await.unwrap().unwrap().events {
                let Event::Put { current, .. } = event else { panic!("nothing was deleted") };
                let value = String::from_utf8_lossy(&current.value).into_owned();
                done.entry(value).or_default().push(current.mod_revision);
            }
        }
        assert_eq!(done["end"], [end]);
        for (value, answer) in told {
            let done = done.remove(&value).unwrap_or_default();
            match answer {
                Ok(revision) => assert_eq!(done, [revision], "seed {seed}: {value}"),
                Err(StoreError::Conflict { .. }) => assert!(done.is_empty(), "seed {seed}: {value} at {done:?}"),
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(unknown > 0, "some history was gone when it was needed");
}

/// Ten increments; the value tells by whom, so that equal counts are different values.
async fn increments(store: Arc<RetryingStore>, task: usize) -> Vec<(Revision, u64)> {
    let mut done = Vec::new();
    while done.len() < 10 {
        let entry = store.get("/n", ReadAt::Latest).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&entry.value).into_owned();
        let next = text.split(' ').next().unwrap().parse::<u64>().unwrap() + 1;
        let unchanged = Precondition::Unchanged(entry.mod_revision);
        match store.commit(put("/n", format!("{next} of {task}"), unchanged)).await {
            Ok(revision) => done.push((revision, next)),
            Err(StoreError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    done
}
