//! The watch cache: the objects below one prefix, decoded from nothing, shared by all readers and watchers.
//!
//! It sits between the API server and any [`Store`]. Values are the store's own `Bytes`, never copied; what a watcher
//! receives for an event is encoded once, by the first that needs it, and shared by all. A reader that wants the latest state
//! takes what the store's watch has ready itself instead of waiting for another task to be scheduled.

mod event;
mod form;
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
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tracing::warn;

use self::ring::Ring;
pub use self::{
    event::{Attributes, CachedEvent, Entry, EventKind},
    form::Form,
    watch::{CacheWatch, CacheWatchItem},
};

/// How long a read waits for a revision that the cache has not seen: kube-apiserver's figure.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);
/// The least time between attempts to follow the store.
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

/// The cache of one resource. Clones share it; its task, and with it every watch, ends with the last clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    _follower: Arc<Follower>,
}

/// The task that keeps the cache up to date, while there is one.
struct Follower {
    task: JoinHandle<()>,
    shared: Weak<Shared>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
        // Watchers would wait forever.
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.state.lock();
            let revision = state.revision;
            state.feed = None;
            state.ring.reset(revision);
            let wakers = state.ring.take_wakers();
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

struct Shared {
    store: Arc<dyn Store>,
    range: KeyRange,
    state: Mutex<State>,
    /// Told when the state has seen more. Wakes readers in the order in which they came, unlike tokio's `watch`, which takes chances: one
    /// seed is to give one course of events.
    advanced: Notify,
    /// The names of the forms in which watchers want the objects.
    forms: Mutex<Vec<String>>,
}

struct State {
    entries: OrdMap<Key, Arc<Entry>>,
    revision: Revision,
    /// Whether there was a first list.
    listed: bool,
    ring: Ring,
    feed: Option<WatchStream>,
    /// The cache's own task, to be woken by the store's watch whoever polled it last.
    task: Option<Waker>,
}

impl Cache {
    /// Starts to follow the keys below `prefix`. The cache's task runs on the current tokio runtime.
    pub fn start(store: Arc<dyn Store>, prefix: &str) -> Self {
        let state =
            State { entries: OrdMap::new(), revision: 0, listed: false, ring: Ring::default(), feed: None, task: None };
        let shared = Arc::new(Shared {
            store,
            range: KeyRange::prefix(prefix),
            state: Mutex::new(state),
            advanced: Notify::new(),
            forms: Mutex::default(),
        });
        let task = tokio::spawn(follow(Arc::downgrade(&shared)));
        let follower = Follower { task, shared: Arc::downgrade(&shared) };
        Self { shared, _follower: Arc::new(follower) }
    }

    /// The state at some revision that is as new as `freshness` demands.
    pub async fn read(&self, freshness: Freshness) -> Result<Snapshot, CacheError> {
        match freshness {
            Freshness::NotOlderThan(requested) => self.shared.reach(requested).await.ok_or_else(|| {
                let current = self.shared.state.lock().revision;
                CacheError::TooNew { requested, current }
            }),
            Freshness::Latest => {
                let newest = self.shared.store.revision().await?;
                match self.shared.reach(newest).await {
                    Some(snapshot) => Ok(snapshot),
                    // A store whose watches do not tell that nothing happened; as kube-apiserver, ask it itself.
                    None => Ok(self.shared.list().await?),
                }
            }
        }
    }

    /// The form of that name: what watchers that name the same form are shown is encoded once for all of them.
    pub fn form(&self, name: &str) -> Form {
        let mut forms = self.shared.forms.lock();
        let known = forms.iter().position(|known| known == name);
        Form(known.unwrap_or_else(|| {
            forms.push(name.to_owned());
            forms.len() - 1
        }))
    }

    /// The events of `range` after revision `after`, which must not be older than what the cache keeps.
    pub async fn watch(&self, range: KeyRange, after: Revision) -> Result<CacheWatch, CacheError> {
        self.read(Freshness::NotOlderThan(after)).await?;
        let mut state = self.shared.state.lock();
        let position = state.ring.position_after(after)?;
        let watcher = state.ring.join(range.clone(), position);
        drop(state);
        Ok(CacheWatch::new(Arc::clone(&self.shared), range, watcher, after))
    }
}

impl Shared {
    /// The state once it has reached `wanted`; `None` if that takes too long.
    async fn reach(&self, wanted: Revision) -> Option<Snapshot> {
        if let Some(snapshot) = self.drain_to(wanted) {
            return Some(snapshot);
        }
        let reached = async {
            loop {
                let advanced = self.advanced.notified();
                if let Some(snapshot) = self.state.lock().reached(wanted) {
                    return snapshot;
                }
                advanced.await;
            }
        };
        tokio::time::timeout(FRESHNESS_TIMEOUT, reached).await.ok()
    }

    /// Applies what the store has ready; the snapshot if that reaches `wanted`.
    fn drain_to(&self, wanted: Revision) -> Option<Snapshot> {
        let mut state = self.state.lock();
        if !state.listed {
            return None;
        }
        let mut wakers = Vec::new();
        if state.revision < wanted {
            let broken = state.drain().is_some();
            wakers = self.publish(&mut state);
            if broken {
                wakers.extend(state.task.clone());
            }
        }
        let snapshot = state.reached(wanted);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        snapshot
    }

    /// Tells readers how far the state is; the result are the watchers to wake when the state is unlocked.
    #[must_use]
    fn publish(&self, state: &mut State) -> Vec<Waker> {
        self.advanced.notify_waiters();
        state.ring.take_wakers()
    }

    async fn list(&self) -> Result<Snapshot, StoreError> {
        let page = self.store.list(&self.range, ListOptions::default()).await?;
        let entry = |entry: KeyValue| (Key::clone(&entry.key), Arc::new(Entry::from(entry)));
        Ok(Snapshot { entries: page.entries.into_iter().map(entry).collect(), revision: page.revision })
    }

    /// Continues from where the state is if the store still has what happened since, else starts anew from a list.
    async fn connect(&self) -> Result<(), StoreError> {
        let known = {
            let state = self.state.lock();
            state.listed.then_some(state.revision)
        };
        if let Some(after) = known {
            match self.store.watch(self.range.clone(), after).await {
                Ok(feed) => {
                    self.state.lock().feed = Some(feed);
                    return Ok(());
                }
                Err(StoreError::Compacted { .. } | StoreError::FutureRevision { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let snapshot = self.list().await?;
        let feed = self.store.watch(self.range.clone(), snapshot.revision).await?;
        let mut state = self.state.lock();
        state.reset(snapshot, feed);
        let wakers = self.publish(&mut state);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

impl State {
    /// A snapshot, if there was a list and the state is at `wanted` or later.
    fn reached(&self, wanted: Revision) -> Option<Snapshot> {
        let there = self.listed && self.revision >= wanted;
        there.then(|| Snapshot { entries: self.entries.clone(), revision: self.revision })
    }

    /// Applies everything that is ready; the error with which the store's watch ended, if it did.
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

    fn reset(&mut self, listed: Snapshot, feed: WatchStream) {
        self.entries = listed.entries;
        self.revision = listed.revision;
        self.listed = true;
        self.ring.reset(listed.revision);
        self.feed = Some(feed);
    }
}

/// The cache's task: applies what comes when no reader does, and connects again when the store's watch breaks.
async fn follow(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let started = Instant::now();
        let connected = strong.connect().await;
        let prefix: Key = strong.range.start().into();
        drop(strong);
        let broken = match connected {
            Ok(()) => std::future::poll_fn(|context| drain_until_broken(&shared, context)).await,
            Err(error) => Some(error),
        };
        if let Some(error) = broken {
            warn!(%error, %prefix, "store cannot be followed, trying again");
        }
        tokio::time::sleep(RETRY.saturating_sub(started.elapsed())).await;
    }
}

fn drain_until_broken(shared: &Weak<Shared>, context: &mut Context<'_>) -> Poll<Option<StoreError>> {
    let Some(shared) = shared.upgrade() else { return Poll::Ready(None) };
    let mut state = shared.state.lock();
    if state.task.as_ref().is_none_or(|task| !task.will_wake(context.waker())) {
        state.task = Some(context.waker().clone());
    }
    let broken = state.drain();
    let wakers = shared.publish(&mut state);
    let ended = broken.is_some() || state.feed.is_none();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
    if ended { Poll::Ready(broken) } else { Poll::Pending }
}
