//! Watches: every change once, in order, from any revision; and what ends them.

use futures::{StreamExt, future::try_join_all};
use orchestra_core::store::{Event, KeyRange, KeyValue, Precondition, ReadAt, Revision, StoreError, Transaction};

use super::{
    Check, Subject, Violation, check, ensure,
    read::{delete, put},
    tail::{PATIENCE, Tail, summary},
};

pub(super) const CHECKS: &[Check] = &[
    check!("watch", changes_arrive_once_and_in_order),
    check!("watch", events_tell_what_was_before),
    check!("watch", watch_starts_after_any_revision),
    check!("watch", watch_resumes_after_any_batch),
    check!("watch", only_the_range_is_watched),
    check!("watch", transaction_arrives_in_one_batch),
    check!("watch", failed_commits_are_not_seen),
    check!("watch", dropped_watch_disturbs_nobody),
    check!("watch", slow_watcher_is_ended),
];

/// A commit of every sort, and the events that it must make.
async fn history(store: &Subject) -> Result<Vec<Event>, Violation> {
    let mut events = Vec::new();
    for i in 0..5 {
        let key = format!("/h/{}", i % 2);
        let previous = store.get(&key, ReadAt::Latest).await?;
        let revision = put(store, &key, &i.to_string()).await?;
        events.push(Event::Put { current: entry(&key, &i.to_string(), previous.as_ref(), revision), previous });
    }
    let Some(previous) = store.get("/h/1", ReadAt::Latest).await? else {
        return Err(Violation::new("/h/1 is not there after it was put"));
    };
    let revision = delete(store, "/h/1").await?;
    events.push(Event::Delete { previous, revision });
    let previous = store.get("/h/0", ReadAt::Latest).await?;
    let both = Transaction::new().put("/h/2", "a", Precondition::Absent).put("/h/0", "b", Precondition::Exists);
    let revision = store.commit(both).await?;
    events.push(Event::Put { current: entry("/h/2", "a", None, revision), previous: None });
    events.push(Event::Put { current: entry("/h/0", "b", previous.as_ref(), revision), previous });
    let revision = put(store, "/h/1", "again").await?;
    events.push(Event::Put { current: entry("/h/1", "again", None, revision), previous: None });
    Ok(events)
}

fn entry(key: &str, value: &str, previous: Option<&KeyValue>, revision: Revision) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.to_owned().into(),
        create_revision: previous.map_or(revision, |previous| previous.create_revision),
        mod_revision: revision,
    }
}

fn range() -> KeyRange {
    KeyRange::prefix("/h/")
}

fn last(events: &[Event]) -> Revision {
    events.last().map_or(0, Event::revision)
}

fn same(got: &[Event], expected: &[Event], what: &str) -> Result<(), Violation> {
    ensure!(summary(got) == summary(expected), "{what} gives {}, not {}", summary(got), summary(expected));
    let different = got.iter().zip(expected).find(|(got, expected)| got != expected);
    if let Some((got, expected)) = different {
        return Err(Violation::new(format!("{what} gives {got:?}, not {expected:?}")));
    }
    Ok(())
}

/// A watch that begins before the changes sees each, once, in the order of the commits.
pub async fn changes_arrive_once_and_in_order(store: Subject) -> Result<(), Violation> {
    let mut tail = Tail::start(&store, range(), store.revision().await?).await?;
    let expected = history(&store).await?;
    let end = put(&store, "/h/end", "end").await?;
    let mut got = tail.through(end).await?;
    got.pop();
    ensure!(summary(&got) == summary(&expected), "a watch sees {}, not {}", summary(&got), summary(&expected));
    Ok(())
}

/// Events carry the new value and the one before, with their revisions.
pub async fn events_tell_what_was_before(store: Subject) -> Result<(), Violation> {
    let mut tail = Tail::start(&store, range(), store.revision().await?).await?;
    let expected = history(&store).await?;
    same(&tail.through(last(&expected)).await?, &expected, "a watch")
}

/// A watch after a revision of the past sees exactly what came after it.
pub async fn watch_starts_after_any_revision(store: Subject) -> Result<(), Violation> {
    let start = store.revision().await?;
    let expected = history(&store).await?;
    for after in start..last(&expected) {
        let mut tail = Tail::start(&store, range(), after).await?;
        let later: Vec<Event> = expected.iter().filter(|event| event.revision() > after).cloned().collect();
        let got = tail.through(last(&expected)).await?;
        same(&got, &later, &format!("a watch after revision {after}"))?;
    }
    let mut tail = Tail::start(&store, range(), last(&expected)).await?;
    let end = put(&store, "/h/end", "end").await?;
    let got = tail.through(end).await?;
    ensure!(got.len() == 1 && got[0].revision() == end, "a watch from now on sees {}", summary(&got));
    Ok(())
}

/// The revision of a batch is where another watch can go on, without gap or repeat.
pub async fn watch_resumes_after_any_batch(store: Subject) -> Result<(), Violation> {
    let start = store.revision().await?;
    let mut live = Tail::start(&store, range(), start).await?;
    let mut expected = Vec::new();
    let mut got = Vec::new();
    for round in 0..3 {
        put(&store, "/elsewhere", "x").await?;
        expected.extend(history(&store).await?);
        put(&store, "/elsewhere", "y").await?;
        delete(&store, "/h/2").await.map(|_| ())?;
        expected.extend(deletion(&store).await?);
        let target = last(&expected);
        while live.after() < target {
            got.extend(live.next().await??.events);
            live = Tail::start(&store, range(), live.after()).await?;
        }
        same(&got, &expected, &format!("a watch resumed after each batch, round {round},"))?;
    }
    Ok(())
}

/// The event of the delete that was the last commit.
async fn deletion(store: &Subject) -> Result<Option<Event>, Violation> {
    let revision = store.revision().await?;
    let previous = store.get("/h/2", ReadAt::Revision(revision - 1)).await?;
    Ok(previous.map(|previous| Event::Delete { previous, revision }))
}

/// A watch tells nothing of keys outside its range, also when a transaction changes both.
pub async fn only_the_range_is_watched(store: Subject) -> Result<(), Violation> {
    let start = store.revision().await?;
    let keys = ["/h", "/h/1", "/h/2", "/h0", "/g/9"];
    let all = keys.iter().fold(Transaction::new(), |all, key| all.put(*key, "x", Precondition::None));
    let cases: &[(KeyRange, &[&str])] = &[
        (KeyRange::prefix("/h/"), &["/h/1", "/h/2"]),
        (KeyRange::single("/h"), &["/h"]),
        (KeyRange::single("/h/2"), &["/h/2"]),
        (KeyRange::between("/h/2", None), &["/h/2", "/h0"]),
        (KeyRange::between("/g/9", Some("/h/1".into())), &["/h", "/g/9"]),
        (KeyRange::prefix(""), &keys),
    ];
    let live = cases.iter().map(|(range, _)| Tail::start(&store, range.clone(), start));
    let mut live = try_join_all(live).await?;
    put(&store, "/beside", "x").await?;
    let end = store.commit(all).await?;
    for ((range, expected), live) in cases.iter().zip(&mut live) {
        let mut late = Tail::start(&store, range.clone(), start).await?;
        for tail in [live, &mut late] {
            let events = tail.through(end).await?;
            let got: Vec<&str> = events.iter().filter(|e| e.revision() == end).map(|event| &**event.key()).collect();
            ensure!(got == *expected, "a watch of {range:?} sees {got:?}, not {expected:?}");
        }
    }
    Ok(())
}

/// The changes of one transaction come together, in the transaction's order.
pub async fn transaction_arrives_in_one_batch(store: Subject) -> Result<(), Violation> {
    put(&store, "/h/old", "x").await?;
    let start = store.revision().await?;
    let mut live = Tail::start(&store, range(), start).await?;
    let mut commits = Vec::new();
    for round in 0..4 {
        let mut keys: Vec<String> = (0..5).map(|i| format!("/h/{}", (i * 3 + round) % 5)).collect();
        keys.push("/h/old".to_owned());
        let puts = keys[..5].iter().fold(Transaction::new(), |t, key| t.put(key.as_str(), "x", Precondition::None));
        let transaction = if round == 0 { puts.delete("/h/old", Precondition::Exists) } else { puts };
        keys.truncate(transaction.operations().len());
        commits.push((store.commit(transaction).await?, keys));
    }
    let end = commits.last().map_or(0, |(revision, _)| *revision);
    let mut late = Tail::start(&store, range(), start).await?;
    for tail in [&mut live, &mut late] {
        let mut pending = commits.as_slice();
        while tail.after() < end {
            let batch = tail.next().await??;
            let whole = pending.iter().take_while(|(revision, _)| *revision <= batch.revision).count();
            let (due, rest) = pending.split_at(whole);
            let expected: Vec<&str> = due.iter().flat_map(|(_, keys)| keys).map(String::as_str).collect();
            let got: Vec<&str> = batch.events.iter().map(|event| &**event.key()).collect();
            ensure!(got == expected, "a batch up to revision {} has {got:?}, not {expected:?}", batch.revision);
            pending = rest;
        }
    }
    Ok(())
}

/// What did not happen makes no event.
pub async fn failed_commits_are_not_seen(store: Subject) -> Result<(), Violation> {
    let start = put(&store, "/h/a", "1").await?;
    let mut tail = Tail::start(&store, range(), start).await?;
    for transaction in [
        Transaction::new().put("/h/b", "x", Precondition::None).put("/h/a", "x", Precondition::Absent),
        Transaction::new().delete("/h/a", Precondition::Unchanged(0)),
        Transaction::new().put("/h/a", "x", Precondition::None).delete("/h/a", Precondition::None),
        Transaction::new().delete("/h/none", Precondition::None),
        Transaction::new().check("/h/a", Precondition::Exists),
    ] {
        // Which of them fails is for other checks to say.
        let _ = store.commit(transaction).await;
    }
    let end = put(&store, "/h/end", "end").await?;
    let got = tail.through(end).await?;
    ensure!(got.len() == 1, "commits that failed or changed nothing made events: {}", summary(&got));
    Ok(())
}

/// Watches end when they are dropped; the others, and the store, go on.
pub async fn dropped_watch_disturbs_nobody(store: Subject) -> Result<(), Violation> {
    let start = store.revision().await?;
    let mut kept = Tail::start(&store, range(), start).await?;
    for round in 0..20 {
        let mut unread = Tail::start(&store, range(), start).await?;
        let polled = Tail::start(&store, KeyRange::prefix("/"), start + round).await?;
        put(&store, "/h/a", &round.to_string()).await?;
        unread.next().await??;
        drop((unread, polled));
    }
    let got = kept.take(20).await?;
    ensure!(got.len() == 20, "a watch sees {} of 20 changes while others are dropped", got.len());
    Ok(())
}

/// How many changes a watcher that does not read must not be given memory for, and how large they are.
const TOO_MANY: usize = 12_000;
const AT_ONCE: usize = 100;
const VALUE: usize = 2048;

/// A watcher that does not read while much happens, all of it compacted since, is told so: it gets what was kept for it,
/// without a gap, and then an error. Nobody else is hurt.
pub async fn slow_watcher_is_ended(store: Subject) -> Result<(), Violation> {
    let start = store.revision().await?;
    let mut slow = Tail::start(&store, range(), start).await?;
    let mut quick = Tail::start(&store, range(), start).await?;
    let value = "x".repeat(VALUE);
    for round in 0..TOO_MANY / AT_ONCE {
        let keys: Vec<String> = (0..AT_ONCE).map(|i| format!("/h/{i}")).collect();
        try_join_all(keys.iter().map(|key| put(&store, key, &value))).await?;
        let seen = quick.take(AT_ONCE).await?;
        ensure!(seen.len() == AT_ONCE, "a watcher that reads sees {} of round {round}", seen.len());
    }
    store.compact(store.revision().await?).await?;
    let mut seen = start;
    loop {
        match slow.next().await? {
            Ok(batch) => {
                for event in batch.events {
                    let next = seen + 1;
                    ensure!(event.revision() == next, "a slow watcher sees {} where {next} is due", event.revision());
                    seen = next;
                }
            }
            Err(StoreError::SlowWatcher { revision }) => {
                ensure!(revision == seen, "a slow watcher is told that it saw {revision}, and saw {seen}");
                break;
            }
            Err(StoreError::Compacted { .. }) => break,
            Err(other) => return Err(Violation::new(format!("a slow watcher gets the wrong error: {other}"))),
        }
        let behind = TOO_MANY as Revision - (seen - start);
        ensure!(behind > 0, "{TOO_MANY} changes that nobody read, and compacted since, were kept for a watcher");
    }
    let after_error = tokio::time::timeout(PATIENCE, slow.stream().next()).await;
    ensure!(matches!(after_error, Ok(None)), "a watch goes on after its error: {after_error:?}");
    let end = put(&store, "/h/end", "end").await?;
    let got = quick.through(end).await?;
    ensure!(got.len() == 1, "a watcher that reads sees {} after another was ended", summary(&got));
    Ok(())
}
