//! The watch cache: the objects of one resource, decoded from nothing, shared by all readers and watchers.
//!
//! It sits between the API server and any [`Store`]. Values are the store's own [`Bytes`], never copied; what a watcher
//! receives for an event is encoded once, by the first that needs it, and shared by all. A reader that wants the latest state
//! takes what the store's watch has ready itself instead of waiting for another task to be scheduled.

mod event;
mod ring;
mod watch;

use std::{
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::StreamExt;
use imbl::OrdMap;
use orchestra_core::store::{Event, Key, KeyRange, KeyValue, ListOptions, Revision, Store, StoreError, WatchStream};
use parking_lot::Mutex;
use tokio::{sync::watch as latest, task::JoinHandle};
use tracing::warn;

use self::ring::Ring;
pub use self::{
    event::{CachedEvent, Entry, EventKind},
    watch::{CacheWatch, CacheWatchItem},
};

/// How long a read waits for a revision that the cache has not seen: kube-apiserver's figure.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait before the store is asked again after it failed.
const RETRY: Duration = Duration::from_millis(200);

/// How new a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As new as the store: every commit acknowledged before the read is in it.
    Latest,
    /// This revision or newer.
    NotOlderThan(Revision),
}

/// Why the cache cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    /// The revision asked for did not come in time.
    #[error("revision {requested} has not been seen, the newest is {current}")]
    TooNew {
        /// The revision asked for.
        requested: Revision,
        /// The newest revision.
        current: Revision,
    },
    /// The events since the revision asked for are no longer kept.
    #[error("revision {requested} is too old, the oldest is {oldest}")]
    Expired {
        /// The revision asked for.
        requested: Revision,
        /// The oldest revision that a watch can start from.
        oldest: Revision,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A consistent view of the resource at one revision. Cheap to take and to clone; later changes do not show.
#[derive(Clone)]
pub struct Snapshot {
    entries: OrdMap<Key, Arc<Entry>>,
    /// The revision of the view.
    pub revision: Revision,
}

impl Snapshot {
    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// The entries of `range` in key order.
    pub fn range<'a>(&'a self, range: &'a KeyRange) -> impl Iterator<Item = &'a Arc<Entry>> + 'a {
        let first: Key = range.start().into();
        self.entries
            .range(first..)
            .take_while(|(key, _)| range.end().is_none_or(|end| &***key < end))
            .map(|(_, entry)| entry)
    }

    /// How many entries there are in all.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The cache of one resource. Clones share it; its task ends with the last clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    _task: Arc<AbortOnDrop>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    store: Arc<dyn Store>,
    range: KeyRange,
    state: Mutex<State>,
    /// The newest revision that the state has seen; none before the first list.
    seen: latest::Sender<Option<Revision>>,
}

struct State {
    entries: OrdMap<Key, Arc<Entry>>,
    revision: Revision,
    ring: Ring,
    feed: Option<WatchStream>,
    /// The cache's own task, to be woken by the store's watch whoever polled it last.
    task: Option<Waker>,
}

impl Cache {
    /// Starts to follow the keys below `prefix`. The cache's task runs on the current tokio runtime.
    pub fn start(store: Arc<dyn Store>, prefix: &str) -> Self {
        let state = State { entries: OrdMap::new(), revision: 0, ring: Ring::default(), feed: None, task: None };
        let shared = Arc::new(Shared {
            store,
            range: KeyRange::prefix(prefix),
            state: Mutex::new(state),
            seen: latest::Sender::new(None),
        });
        let task = tokio::spawn(follow(Arc::downgrade(&shared)));
        Self { shared, _task: Arc::new(AbortOnDrop(task)) }
    }

    /// The state at some revision that is as new as `freshness` demands.
    pub async fn read(&self, freshness: Freshness) -> Result<Snapshot, CacheError> {
        let wanted = match freshness {
            Freshness::Latest => self.shared.store.revision().await?,
            Freshness::NotOlderThan(revision) => revision,
        };
        if let Some(snapshot) = self.shared.drain_to(wanted) {
            return Ok(snapshot);
        }
        let mut seen = self.shared.seen.subscribe();
        let caught_up = seen.wait_for(|seen| seen.is_some_and(|seen| seen >= wanted));
        if tokio::time::timeout(FRESHNESS_TIMEOUT, caught_up).await.is_err() {
            let current = self.shared.state.lock().revision;
            return Err(CacheError::TooNew { requested: wanted, current });
        }
        let state = self.shared.state.lock();
        Ok(Snapshot { entries: state.entries.clone(), revision: state.revision })
    }

    /// The events of `range` after revision `after`, which must not be older than what the cache keeps.
    pub async fn watch(&self, range: KeyRange, after: Revision) -> Result<CacheWatch, CacheError> {
        self.read(Freshness::NotOlderThan(after)).await?;
        let mut state = self.shared.state.lock();
        let position = state.ring.position_after(after)?;
        let watcher = state.ring.join(position);
        drop(state);
        Ok(CacheWatch::new(Arc::clone(&self.shared), range, watcher, after))
    }
}

impl Shared {
    /// Applies what the store has ready; the snapshot if that reaches `wanted`.
    fn drain_to(&self, wanted: Revision) -> Option<Snapshot> {
        let mut state = self.state.lock();
        if self.seen.borrow().is_none() {
            return None;
        }
        if state.revision < wanted {
            state.drain();
            self.publish(&mut state);
        }
        (state.revision >= wanted).then(|| Snapshot { entries: state.entries.clone(), revision: state.revision })
    }

    /// Tells readers and watchers how far the state is. Readers wait for revisions only if they must.
    fn publish(&self, state: &mut State) {
        let revision = state.revision;
        self.seen.send_if_modified(|seen| seen.replace(revision) != Some(revision));
        state.ring.wake();
    }
}

impl State {
    /// Applies everything that is ready. `Err` when the store's watch has ended.
    fn drain(&mut self) -> Option<StoreError> {
        let waker = self.task.clone().unwrap_or_else(|| Waker::noop().clone());
        let mut context = Context::from_waker(&waker);
        loop {
            let feed = self.feed.as_mut()?;
            match feed.poll_next_unpin(&mut context) {
                Poll::Ready(Some(Ok(batch))) => {
                    for event in batch.events {
                        self.apply(event);
                    }
                    self.revision = self.revision.max(batch.revision);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.feed = None;
                    return Some(error);
                }
                Poll::Ready(None) => {
                    self.feed = None;
                    return Some(StoreError::Unavailable("the watch ended".to_owned()));
                }
                Poll::Pending => return None,
            }
        }
    }

    fn apply(&mut self, event: Event) {
        let revision = event.revision();
        let (key, current) = match event {
            Event::Put { current, .. } => (Key::clone(&current.key), Some(Arc::new(Entry::from(current)))),
            Event::Delete { previous, .. } => (previous.key, None),
        };
        let previous = match &current {
            Some(entry) => self.entries.insert(key, Arc::clone(entry)),
            None => self.entries.remove(&key),
        };
        self.revision = revision;
        if let Some(event) = CachedEvent::new(revision, previous, current) {
            self.ring.push(Arc::new(event));
        }
    }

    /// Starts anew from a list.
    fn reset(&mut self, entries: Vec<KeyValue>, revision: Revision, feed: WatchStream) {
        self.entries =
            entries.into_iter().map(|entry| (Key::clone(&entry.key), Arc::new(Entry::from(entry)))).collect();
        self.revision = revision;
        self.ring.reset(revision);
        self.feed = Some(feed);
    }
}

/// The cache's task: lists, then applies what comes when no reader does, and lists again when the watch breaks.
async fn follow(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let listed = list_and_watch(&*strong.store, &strong.range).await;
        match listed {
            Ok((entries, revision, feed)) => {
                let mut state = strong.state.lock();
                state.reset(entries, revision, feed);
                strong.publish(&mut state);
            }
            Err(error) => {
                warn!(%error, prefix = strong.range.start(), "store cannot be listed, trying again");
                drop(strong);
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        drop(strong);
        let error = std::future::poll_fn(|context| drain_until_broken(&shared, context)).await;
        if let Some(error) = error {
            warn!(%error, "watch of the store broke, listing again");
        }
    }
}

async fn list_and_watch(
    store: &dyn Store,
    range: &KeyRange,
) -> Result<(Vec<KeyValue>, Revision, WatchStream), StoreError> {
    let page = store.list(range, ListOptions::default()).await?;
    let feed = store.watch(range.clone(), page.revision).await?;
    Ok((page.entries, page.revision, feed))
}

fn drain_until_broken(shared: &Weak<Shared>, context: &mut Context<'_>) -> Poll<Option<StoreError>> {
    let Some(shared) = shared.upgrade() else { return Poll::Ready(None) };
    let mut state = shared.state.lock();
    if state.task.as_ref().is_none_or(|task| !task.will_wake(context.waker())) {
        state.task = Some(context.waker().clone());
    }
    let broken = state.drain();
    shared.publish(&mut state);
    match broken {
        Some(error) => Poll::Ready(Some(error)),
        None if state.feed.is_none() => Poll::Ready(None),
        None => Poll::Pending,
    }
}
