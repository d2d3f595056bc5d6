//! How a cache keeps up with its store.

use std::{
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use orchestra_core::{
    backoff::Backoff,
    store::{Key, KeyRange, KeyValue, ListOptions, Revision, Store, StoreError},
};
use parking_lot::{Mutex, RwLock};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tracing::warn;

use super::{CacheError, Entry, Snapshot, state::State};

/// How long a read waits for a revision that the cache has not seen: kube-apiserver's figure.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);
/// The least time between attempts to follow the store.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(200), max: Duration::from_secs(5) };

pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) range: KeyRange,
    /// Readers do not wait for each other.
    pub(super) state: RwLock<State>,
    /// Told when the state has seen more. Wakes readers in the order in which they came, unlike tokio's `watch`, which takes chances: one
    /// seed is to give one course of events.
    advanced: Notify,
    /// The names of the forms in which watchers want the objects.
    pub(super) forms: Mutex<Vec<String>>,
}

/// The task that keeps the cache up to date, while there is one.
pub(super) struct Follower {
    task: JoinHandle<()>,
    shared: Weak<Shared>,
}

impl Follower {
    /// Starts the task on the current tokio runtime.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        Self { task: tokio::spawn(follow(Arc::downgrade(shared))), shared: Arc::downgrade(shared) }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
        // Watchers would wait forever.
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.state.write();
            state.feed = None;
            state.ring.close();
            let wakers = state.ring.take_wakers();
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Shared {
    pub(super) fn new(store: Arc<dyn Store>, prefix: &str) -> Self {
        Self {
            store,
            range: KeyRange::prefix(prefix),
            state: RwLock::default(),
            advanced: Notify::new(),
            forms: Mutex::default(),
        }
    }

    /// What `view` sees of the state once that has reached `wanted`; `None` if it takes too long.
    pub(super) async fn reach<T>(&self, wanted: Revision, view: impl Fn(&State) -> T) -> Option<T> {
        if let Some(seen) = self.drain_to(wanted, &view) {
            return Some(seen);
        }
        if self.state.read().is_unreadable() {
            return None;
        }
        let reached = async {
            loop {
                let advanced = self.advanced.notified();
                if let Some(seen) = self.seen(wanted, &view) {
                    return seen;
                }
                advanced.await;
            }
        };
        // A watch over a network is behind the commits, and not woken by what happens elsewhere; with its revision the store tells
        // that the watch knows it.
        let asked = async {
            if self.store.revision().await.is_ok() {
                self.catch_up();
            }
            std::future::pending().await
        };
        let either = async {
            tokio::select! {
                biased;
                seen = reached => seen,
                seen = asked => seen,
            }
        };
        tokio::time::timeout(FRESHNESS_TIMEOUT, either).await.ok()
    }

    fn seen<T>(&self, wanted: Revision, view: impl Fn(&State) -> T) -> Option<T> {
        let state = self.state.read();
        state.has_reached(wanted).then(|| view(&state))
    }

    /// Applies what the store has ready; what `view` sees if that reaches `wanted`.
    fn drain_to<T>(&self, wanted: Revision, view: impl Fn(&State) -> T) -> Option<T> {
        if let Some(seen) = self.seen(wanted, &view) {
            return Some(seen);
        }
        let mut state = self.state.write();
        if !state.listed {
            return None;
        }
        let mut wakers = Vec::new();
        if state.revision < wanted {
            let follows = state.drain();
            wakers = self.publish(&mut state);
            if !follows {
                wakers.extend(state.task.clone());
            }
        }
        let seen = state.has_reached(wanted).then(|| view(&state));
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        seen
    }

    /// Applies what the store has ready, be it only that nothing happened here.
    pub(super) fn catch_up(&self) {
        let all: Option<()> = self.drain_to(Revision::MAX, |_| ());
        debug_assert!(all.is_none(), "no store comes to its last revision");
    }

    /// Notes why the store cannot be followed.
    fn fail(&self, error: StoreError) {
        let mut state = self.state.write();
        state.fail(error);
        let wakers = self.publish(&mut state);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Why the state does not come to `requested`.
    pub(super) fn unreached(&self, requested: Revision) -> CacheError {
        let state = self.state.read();
        match &state.failure {
            _ if state.listed => CacheError::TooNew { requested, current: state.revision },
            Some(failure) => CacheError::Store(failure.clone()),
            None => CacheError::Store(StoreError::Unavailable("it has not listed its objects yet".to_owned())),
        }
    }

    /// Tells readers how far the state is; the result are the watchers to wake when the state is unlocked.
    #[must_use]
    fn publish(&self, state: &mut State) -> Vec<Waker> {
        self.advanced.notify_waiters();
        state.ring.take_wakers()
    }

    pub(super) async fn list(&self) -> Result<Snapshot, StoreError> {
        let page = self.store.list(&self.range, ListOptions::default()).await?;
        let entry = |entry: KeyValue| (Key::clone(&entry.key), Arc::new(Entry::from(entry)));
        Ok(Snapshot { entries: page.entries.into_iter().map(entry).collect(), revision: page.revision })
    }

    /// Continues from where the state is if the store still has what happened since, else starts anew from a list.
    async fn connect(&self) -> Result<(), StoreError> {
        let resumable = self.state.read().resumable();
        if let Some(after) = resumable {
            match self.store.watch(self.range.clone(), after).await {
                Ok(feed) => {
                    let mut state = self.state.write();
                    state.feed = Some(Mutex::new(feed));
                    state.failure = None;
                    return Ok(());
                }
                Err(StoreError::Compacted { .. } | StoreError::FutureRevision { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let snapshot = self.list().await?;
        let feed = self.store.watch(self.range.clone(), snapshot.revision).await?;
        let mut state = self.state.write();
        state.reset(snapshot, feed);
        let wakers = self.publish(&mut state);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

/// The cache's task: applies what comes when no reader does, and connects again when the store's watch breaks.
async fn follow(shared: Weak<Shared>) {
    let mut failures = 0_u32;
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let began = Instant::now();
        match strong.connect().await {
            Ok(()) => failures = 0,
            Err(error) => strong.fail(error),
        }
        drop(strong);
        let broken = std::future::poll_fn(|context| drain_until_broken(&shared, context)).await;
        if let (Some(error), Some(shared)) = (broken, shared.upgrade()) {
            warn!(%error, prefix = shared.range.start(), "store cannot be followed, trying again");
        }
        // What was followed for long is gone on with at once.
        tokio::time::sleep(BACKOFF.delay(failures).saturating_sub(began.elapsed())).await;
        failures = failures.saturating_add(1);
    }
}

fn drain_until_broken(shared: &Weak<Shared>, context: &mut Context<'_>) -> Poll<Option<StoreError>> {
    let Some(shared) = shared.upgrade() else { return Poll::Ready(None) };
    let mut state = shared.state.write();
    if state.task.as_ref().is_none_or(|task| !task.will_wake(context.waker())) {
        state.task = Some(context.waker().clone());
    }
    let follows = state.drain();
    let wakers = shared.publish(&mut state);
    let failure = state.failure.clone();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
    if follows { Poll::Pending } else { Poll::Ready(failure) }
}
