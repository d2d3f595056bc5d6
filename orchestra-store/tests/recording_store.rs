//! Recordings of stores, and their replays.
#![allow(clippy::unwrap_used)]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use orchestra_core::{
    random::Generator,
    store::{Event, KeyRange, ListOptions, Precondition, ReadAt, Store, StoreError, Transaction, Watcher},
};
use orchestra_store::{
    FaultyStore, MemoryStore, RecordingStore, contract,
    recording::{ReplayError, Step, Trace, TraceError, replay},
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn put(key: &str, value: &str) -> Transaction {
    Transaction::new().put(key, value.to_owned(), Precondition::None)
}

async fn recording(inner: impl Store) -> RecordingStore {
    RecordingStore::in_memory(Arc::new(inner)).await.unwrap()
}

/// A bit of everything.
async fn use_it(store: &dyn Store) {
    let all = KeyRange::prefix("/");
    let first = store.commit(put("/a", "1")).await.unwrap();
    let swap = Transaction::new()
        .put("/b", vec![0xff, 0x00], Precondition::Absent)
        .put("/a", "2", Precondition::Unchanged(first))
        .check("/c", Precondition::Absent);
    store.commit(swap.clone()).await.unwrap();
    assert!(store.commit(swap).await.is_err());
    store.get("/a", ReadAt::Latest).await.unwrap();
    store.get("/b", ReadAt::Revision(first)).await.unwrap();
    store.list(&all, ListOptions { limit: Some(1), ..ListOptions::default() }).await.unwrap();
    assert!(store.list(&all, ListOptions { limit: Some(0), ..ListOptions::default() }).await.is_err());
    store.commit(Transaction::new().put_with_ttl("/t", "x", Precondition::None, SECOND)).await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert!(store.get("/t", ReadAt::Latest).await.unwrap().is_none());
    let now = store.revision().await.unwrap();
    store.compact(now).await.unwrap();
    assert!(store.get("/a", ReadAt::Revision(first)).await.is_err());
    assert!(store.watch(all, now + 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_recording_is_the_same_when_it_is_replayed_and_recorded_again() {
    let store = recording(MemoryStore::default()).await;
    use_it(&store).await;
    let trace = store.trace();
    assert_eq!(trace.records.len(), 13);
    let again = recording(MemoryStore::default()).await;
    replay(&trace, &again).await.unwrap();
    let mut without_watch = trace.clone();
    without_watch.records.retain(|record| !matches!(record.step, Step::Watch { .. }));
    let mut replayed = again.trace();
    // The replay's own question at the start.
    replayed.records.remove(0);
    assert_eq!(replayed, without_watch, "also at the same times");
}

#[tokio::test(start_paused = true)]
async fn revisions_count_from_the_start() {
    let store = recording(MemoryStore::default()).await;
    use_it(&store).await;
    let elsewhere = MemoryStore::default();
    for i in 0..100 {
        elsewhere.commit(put("elsewhere", &i.to_string())).await.unwrap();
    }
    replay(&store.trace(), &elsewhere).await.unwrap();
    assert_eq!(elsewhere.revision().await, Ok(100 + store.revision().await.unwrap()));
    let late = recording(elsewhere).await;
    late.commit(put("/late", "x")).await.unwrap();
    assert!(late.trace().start > 100);
    replay(&late.trace(), &MemoryStore::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_difference_is_told() {
    let store = recording(MemoryStore::default()).await;
    store.commit(put("/a", "1")).await.unwrap();
    store.get("/a", ReadAt::Latest).await.unwrap();
    store.commit(put("/b", "1")).await.unwrap();
    let mut trace = store.trace();
    if let Step::Commit { transaction, .. } = &mut trace.records[0].step {
        *transaction = put("/a", "2");
    }
    let ReplayError::Differs { number, recorded, now } = replay(&trace, &MemoryStore::default()).await.unwrap_err()
    else {
        panic!("the store answers");
    };
    assert_eq!((number, &*recorded), (2, &trace.records[1].step));
    assert!(matches!(&*now, Step::Get { answer: Ok(Some(entry)), .. } if entry.value == "2"));
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_writer_gets_is_a_trace_in_readable_lines() {
    let written = Shared::default();
    let inner = recording(MemoryStore::default()).await;
    let store = RecordingStore::to_writer(Arc::new(inner.clone()), written.clone()).await.unwrap();
    use_it(&store).await;
    store.flush().unwrap();
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let trace = Trace::read(text.as_bytes()).unwrap();
    let mut expected = inner.trace();
    expected.records.remove(0);
    assert_eq!(trace, expected, "the inner recording has one more question, for the start");
    assert_eq!(text.lines().count(), 14);
    assert!(text.lines().any(|line| line.contains(r#""Put":{"value":"2","ttl":null}"#)), "{text}");
    assert_eq!(store.trace().records, []);
}

#[tokio::test]
async fn a_trace_that_is_damaged_says_where() {
    assert_eq!(Trace::read(&b""[..]).unwrap(), Trace::default());
    for (text, wrong) in [("{}", 1), ("{\"start\":1}\n{\"after\":", 2), ("{\"start\":-1}", 1), ("\u{0}", 1)] {
        let error = Trace::read(text.as_bytes()).unwrap_err();
        assert!(matches!(error, TraceError::Line { number, .. } if number == wrong), "{text}: {error}");
    }
    assert!(matches!(Trace::read(&b"\xff\n"[..]), Err(TraceError::Io(_))));
}

struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_writer_that_fails_ends_the_recording_and_not_the_store() {
    let store = RecordingStore::to_writer(Arc::new(MemoryStore::default()), Full).await.unwrap();
    assert_eq!(store.commit(put("/a", "1")).await, Ok(1));
    assert_eq!(store.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(store.flush().is_ok(), "it is told once");
}

#[tokio::test(start_paused = true)]
async fn every_batch_of_a_watch_is_recorded_under_its_number() {
    let store = recording(MemoryStore::default()).await;
    let mut first = store.watch(KeyRange::prefix("/"), 0).await.unwrap();
    let mut second = store.watch(KeyRange::prefix("/b"), 0).await.unwrap();
    store.commit(put("/b", "1")).await.unwrap();
    first.next().await.unwrap().unwrap();
    second.next().await.unwrap().unwrap();
    let recorded: Vec<(u64, usize)> = store
        .trace()
        .records
        .iter()
        .filter_map(|record| match &record.step {
            Step::Batch { watch, batch: Ok(batch) } => {
                assert!(batch.events.iter().all(|event| matches!(event, Event::Put { .. })));
                Some((*watch, batch.events.len()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(recorded, [(0, 1), (1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_takes_as_long_as_the_recording() {
    let store = recording(MemoryStore::default()).await;
    store.commit(put("/a", "1")).await.unwrap();
    tokio::time::sleep(100 * SECOND).await;
    store.commit(put("/a", "2")).await.unwrap();
    let begun = Instant::now();
    replay(&store.trace(), &MemoryStore::default()).await.unwrap();
    assert_eq!(begun.elapsed(), 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn calls_that_failed_are_left_out() {
    let line = FaultyStore::new(Arc::new(MemoryStore::default()), Generator::seeded(1)).failures(50);
    line.switch_off();
    let store = recording(line.clone()).await;
    line.switch_on();
    for i in 0..50 {
        let _ = store.commit(put("/a", &i.to_string())).await;
    }
    let failed = |step: &Step| matches!(step, Step::Commit { answer: Err(StoreError::Unavailable(_)), .. });
    assert!(store.trace().records.iter().any(|record| failed(&record.step)));
    replay(&store.trace(), &MemoryStore::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_that_overlapped_are_replayed_in_their_order() {
    let store = recording(MemoryStore::default()).await;
    let tasks = (0..8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..100 {
                store.commit(put("/n", &format!("{task}.{round}"))).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    replay(&store.trace(), &MemoryStore::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_recorded_keeps_the_contract() {
    for check in contract::checks() {
        let store = recording(MemoryStore::default()).await;
        assert_eq!(check.run(Arc::new(store.clone())).await, Ok(()));
        replay(&store.trace(), &MemoryStore::default()).await.unwrap_or_else(|e| panic!("{check:?}: {e}"));
    }
}
