//! Writers and a watcher that keep account of what they were told, and the comparison of both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use orchestra_core::store::{Event, Key, KeyRange, KeyValue, Precondition, Revision, Store, StoreError, Transaction};
use orchestra_store::EtcdStore;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long anything that must come is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const WRITERS: usize = 8;
/// How many keys each writer changes.
const KEYS: usize = 5;

pub(crate) fn range() -> KeyRange {
    KeyRange::prefix("/load/")
}

/// What writers were told.
#[derive(Default)]
pub(crate) struct Written {
    /// Value and key of what was acknowledged, by its revision.
    acknowledged: BTreeMap<Revision, (Key, String)>,
    /// Values that may have been written.
    unknown: BTreeSet<String>,
    pub(crate) errors: Vec<StoreError>,
}

/// Tasks that write until they are told to stop.
pub(crate) struct Load {
    writers: Vec<JoinHandle<Written>>,
    stop: watch::Sender<bool>,
    progress: Arc<watch::Sender<Progress>>,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    acknowledged: usize,
    failed: usize,
}

impl Load {
    pub(crate) fn start(store: &EtcdStore) -> Self {
        let (stop, progress) = (watch::Sender::new(false), Arc::new(watch::Sender::new(Progress::default())));
        let write = |writer| tokio::spawn(write(writer, store.clone(), stop.subscribe(), Arc::clone(&progress)));
        let writers = (0..WRITERS).map(write).collect();
        Self { writers, stop, progress }
    }

    /// Waits until that many more writes are acknowledged.
    pub(crate) async fn goes_on(&self, more: usize) {
        let wanted = self.progress.borrow().acknowledged + more;
        let reached = self.reaches(|progress| progress.acknowledged >= wanted);
        timeout(PATIENCE, reached).await.expect("writes are not acknowledged");
    }

    /// Waits until one more write fails.
    pub(crate) async fn fails(&self) {
        let wanted = self.progress.borrow().failed + 1;
        timeout(PATIENCE, self.reaches(|progress| progress.failed >= wanted)).await.expect("no write fails");
    }

    async fn reaches(&self, wanted: impl Fn(&Progress) -> bool) {
        self.progress.subscribe().wait_for(|progress| wanted(progress)).await.expect("the sender is here");
    }

    pub(crate) async fn stop(self) -> Written {
        self.stop.send_replace(true);
        let mut all = Written::default();
        for writer in self.writers {
            let Written { mut acknowledged, mut unknown, errors } = writer.await.expect("a writer");
            let count = all.acknowledged.len() + acknowledged.len();
            all.acknowledged.append(&mut acknowledged);
            assert_eq!(all.acknowledged.len(), count, "two commits have one revision");
            all.unknown.append(&mut unknown);
            all.errors.extend(errors);
        }
        all
    }
}

async fn write(
    writer: usize,
    store: EtcdStore,
    stop: watch::Receiver<bool>,
    progress: Arc<watch::Sender<Progress>>,
) -> Written {
    let mut written = Written::default();
    for round in 0.. {
        if *stop.borrow() {
            break;
        }
        let key: Key = format!("/load/{writer}/{}", round % KEYS).into();
        let value = format!("{writer}.{round}");
        let put = Transaction::new().put(Key::clone(&key), value.clone(), Precondition::None);
        match store.commit(put).await {
            Ok(revision) => {
                written.acknowledged.insert(revision, (key, value));
                progress.send_modify(|progress| progress.acknowledged += 1);
                continue;
            }
            Err(error @ StoreError::OutcomeUnknown(_)) => {
                written.unknown.insert(value);
                written.errors.push(error);
            }
            Err(error @ StoreError::Unavailable(_)) => written.errors.push(error),
            Err(error) => panic!("a put fails with {error:?}"),
        }
        progress.send_modify(|progress| progress.failed += 1);
        sleep(Duration::from_millis(20)).await;
    }
    written
}

/// A watch of the load that takes down what it is told.
pub(crate) struct Observer(JoinHandle<Vec<Event>>);

impl Observer {
    pub(crate) async fn start(store: &EtcdStore, after: Revision) -> Self {
        use orchestra_core::store::Watcher;
        let mut stream = store.watch(range(), after).await.expect("a watch");
        Self(tokio::spawn(async move {
            let mut events: Vec<Event> = Vec::new();
            loop {
                let batch = stream.next().await.expect("the watch ends").expect("the watch fails");
                let ended = batch.events.iter().any(|event| &**event.key() == END);
                events.extend(batch.events);
                if ended {
                    return events;
                }
            }
        }))
    }

    async fn finish(self) -> Vec<Event> {
        timeout(PATIENCE, self.0).await.expect("a watcher misses the end").expect("a watcher")
    }
}

/// What tells observers to finish; it is the last key.
const END: &str = "/load/end";

/// Asserts that `observers`, and a watch from the past, saw one history, which has every acknowledged write, none that is
/// said to have failed, and no gap, and that the state is what it comes to.
pub(crate) async fn verify(store: &EtcdStore, start: Revision, written: &Written, observers: Vec<Observer>) {
    let end = Transaction::new().put(END, "end", Precondition::None);
    store.commit(end).await.expect("full service after the fault");
    let history = Observer::start(store, start).await.finish().await;
    for observer in observers {
        assert_eq!(told(&observer.finish().await), told(&history), "a watcher saw another history");
    }
    let mut state: BTreeMap<Key, KeyValue> = BTreeMap::new();
    let mut unseen = written.acknowledged.clone();
    let mut last = start;
    for event in &history {
        let Event::Put { current, previous } = event else { panic!("nothing is deleted: {event:?}") };
        assert!(event.revision() > last, "{event:?} comes after revision {last}");
        last = event.revision();
        assert_eq!(state.insert(Key::clone(&current.key), current.clone()), *previous, "a gap before {event:?}");
        if &*current.key == END {
            continue;
        }
        let value = String::from_utf8_lossy(&current.value).into_owned();
        match unseen.remove(&last) {
            Some(told) => assert_eq!(told, (Key::clone(&current.key), value)),
            None => assert!(written.unknown.contains(&value), "{value} was not said to be written"),
        }
    }
    assert!(unseen.is_empty(), "acknowledged and lost: {unseen:?}");
    let listed = store.list(&range(), Default::default()).await.expect("a list").entries;
    assert!(listed.iter().eq(state.values()), "the state is not what the history comes to");
}

fn told(events: &[Event]) -> Vec<(&str, Revision)> {
    events.iter().map(|event| (&**event.key(), event.revision())).collect()
}
