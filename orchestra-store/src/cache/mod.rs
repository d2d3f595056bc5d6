//! The watch cache: the objects below one prefix, decoded from nothing, shared by all readers and watchers.
//!
//! It sits between the API server and any [`Store`]. Values are the store's own `Bytes`, never copied; what a watcher
//! receives for an event is encoded once, by the first that needs it, and shared by all. A reader that wants the latest state
//! takes what the store's watch has ready itself instead of waiting for another task to be scheduled.

mod event;
mod follow;
mod form;
mod ring;
mod snapshot;
mod state;
mod store;
mod watch;

use std::sync::Arc;

use orchestra_core::store::{KeyRange, ReadAt, Revision, Store, StoreError};

pub use self::{
    event::{Attributes, CachedEvent, Entry, EventKind},
    form::Form,
    snapshot::Snapshot,
    store::CachedStore,
    watch::{CacheWatch, CacheWatchItem},
};
use self::{
    follow::{Follower, Shared},
    state::State,
};

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

/// The cache of one resource. Clones share it; its task, and with it every watch, ends with the last clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
    _follower: Arc<Follower>,
}

impl Cache {
    /// Starts to follow the keys below `prefix`. The cache's task runs on the current tokio runtime.
    pub fn start(store: Arc<dyn Store>, prefix: &str) -> Self {
        let shared = Arc::new(Shared::new(store, prefix));
        let follower = Arc::new(Follower::start(&shared));
        Self { shared, _follower: follower }
    }

    /// The state at some revision that is as new as `freshness` demands.
    pub async fn read(&self, freshness: Freshness) -> Result<Snapshot, CacheError> {
        match self.view(freshness, State::snapshot).await? {
            Some(snapshot) => Ok(snapshot),
            None => Ok(self.shared.list().await?),
        }
    }

    /// The entry of `key` in a state as new as `freshness` demands.
    pub async fn get(&self, key: &str, freshness: Freshness) -> Result<Option<Arc<Entry>>, CacheError> {
        match self.view(freshness, |state| state.get(key)).await? {
            Some(entry) => Ok(entry),
            None => Ok(self.shared.store.get(key, ReadAt::Latest).await?.map(|entry| Arc::new(entry.into()))),
        }
    }

    /// What `view` sees of a state that is as new as `freshness` demands; `None` if the store itself is to be asked for the
    /// latest state, as kube-apiserver does too: its watches do not tell in time that nothing happened.
    async fn view<T>(&self, freshness: Freshness, view: impl Fn(&State) -> T) -> Result<Option<T>, CacheError> {
        match freshness {
            Freshness::Latest => Ok(self.shared.reach(self.shared.store.revision().await?, view).await),
            Freshness::NotOlderThan(requested) => match self.shared.reach(requested, view).await {
                Some(seen) => Ok(Some(seen)),
                None => Err(self.shared.unreached(requested)),
            },
        }
    }

    /// Exactly the state at `revision`, one of those that the events kept reach back to; [`CacheError::Expired`] is for older ones,
    /// which the store may have still.
    pub async fn read_at(&self, revision: Revision) -> Result<Snapshot, CacheError> {
        let requested = revision;
        if !self.shared.state.read().has_reached(requested) {
            let current = self.shared.store.revision().await?;
            if current < requested {
                return Err(StoreError::FutureRevision { requested, current }.into());
            }
        }
        let view = |state: &State| Ok::<_, CacheError>((state.snapshot(), state.newer_than(requested)?));
        let reached = self.shared.reach(requested, view).await;
        // A store whose watches lag has to say itself what there was.
        let state_is_behind = || CacheError::Expired { requested, oldest: self.shared.state.read().revision + 1 };
        let (mut snapshot, newer) = reached.ok_or_else(state_is_behind)??;
        newer.iter().rev().for_each(|event| snapshot.undo(event));
        snapshot.revision = requested;
        Ok(snapshot)
    }

    /// Forgets the events up to `revision`, as if there had not been room for them.
    pub fn forget(&self, revision: Revision) {
        self.shared.state.write().ring.forget(revision);
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
        let mut state = self.shared.state.write();
        let position = state.ring.position_after(after)?;
        let watcher = state.ring.join(range.clone(), position);
        let began_at = state.revision;
        drop(state);
        Ok(CacheWatch::new(Arc::clone(&self.shared), range, watcher, after, began_at))
    }
}
