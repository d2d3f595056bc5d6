//! [`EtcdStore`]: the `Store` contract over etcd, 3.4 or newer.
//!
//! ```text
//!   commit, get, list ──► one endpoint, the next when it fails ──► etcd
//!   watch ◄── hub: the newest batches, one feed a range ◄── one watch of everything ──┘
//!     └─────── of the time before those: a watch of its own, until it has caught up ──┘
//! ```
//!
//! Keys and values are as Kubernetes lays them out with `--storage-media-type=application/json`: `etcdctl get --prefix
//! /registry/pods` shows them. A value in Kubernetes' protobuf encoding, or a key that is not UTF-8, is
//! [`StoreError::Corrupt`] with the key's name for those who read or watch its range, and for nobody else.
//!
//! - **A commit whose answer does not come** is [`StoreError::OutcomeUnknown`], unless it was certainly not done: there was no
//!   connection to send it on, or etcd refused it before doing anything.
//! - **A full database** is [`StoreError::NoSpace`] until somebody disarms etcd's alarm. Only the first commits that meet it have an
//!   unknown outcome: of the one that fills the database etcd says that there is no space too, though it is done.
//! - **Watches** outlive connections: the hub goes on after the last revision that it saw. If that has been compacted meanwhile,
//!   etcd was restored from a backup, or etcd goes on refusing the watch, all watches end with [`StoreError::Compacted`]. A
//!   restoration shows by a revision that is lower than before, or by another cluster's identity: give it an
//!   `--initial-cluster-token` of its own.
//! - **Times to live** are leases, one for up to 1,000 keys that expire in the same second. They count from when the commit is
//!   sent, after its lease was granted, and have a second more for it to arrive: a commit that takes longer takes of its keys'
//!   time. Keys live up to three seconds longer than told, more where etcd is slow to grant; when etcd's leader changes it begins
//!   all its leases anew.
//! - **Time** is tokio's and etcd's own, which only go forward. Nothing here reads the wall clock, so that no jump of it does any
//!   harm; only certificates are good by date.

mod catch_up;
mod compaction;
mod connection;
mod entry;
mod failure;
mod hub;
mod lease;
mod options;
mod pace;
mod probe;
mod progress;
mod range;
mod read;
mod room;
mod session;
mod shared;
mod tail;
mod transaction;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use orchestra_core::store::{
    KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
};
use tokio::sync::OnceCell;

pub use self::options::{EtcdStoreOptions, EtcdTls, EtcdUser};
use self::{connection::Connections, hub::Hub, lease::Leases, probe::Probes, range::Scope, room::Room, shared::Shared};
use crate::mvcc::{Forgotten, Retention, require_key, require_sense};

/// How long the newest revision is waited for to come to the watchers.
const PATIENCE: Duration = Duration::from_secs(1);

/// A store in etcd. Clones share it; with the last of them its connection, its tasks and its watches end.
///
/// ```no_run
/// # async fn example() -> Result<(), orchestra_core::store::StoreError> {
/// use orchestra_core::store::{Precondition, Store, Transaction};
/// use orchestra_store::etcd::{EtcdStore, EtcdStoreOptions};
///
/// let store = EtcdStore::connect(EtcdStoreOptions::new(["http://127.0.0.1:2379"])).await?;
/// let revision = store.commit(Transaction::new().put("/registry/a", "{}", Precondition::Absent)).await?;
/// assert!(store.revision().await? >= revision);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EtcdStore {
    shared: Arc<Shared>,
}

impl EtcdStore {
    /// Connects. The store's tasks run on the current tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no endpoint answers, [`StoreError::Unauthorized`] where etcd refuses the user, and
    /// [`StoreError::InvalidArgument`] for options that make no sense.
    pub async fn connect(options: EtcdStoreOptions) -> Result<Self, StoreError> {
        if options.compaction_interval.is_some_and(|interval| interval.is_zero()) {
            return Err(StoreError::InvalidArgument("compaction needs an interval".to_owned()));
        }
        let connections = Arc::new(Connections::new(&options)?);
        let scope = Arc::new(Scope::new(&options.prefix));
        let revision = probe::ask(&connections, &scope.key).await?.revision;
        let EtcdStoreOptions { retained_revisions, retained_bytes, watch_lag, .. } = options;
        let retention = Retention { revisions: retained_revisions, bytes: retained_bytes, watch_lag };
        let hub = Arc::new(Hub::new(retention, Arc::clone(&scope), revision));
        let compact = |interval| tokio::spawn(compaction::run(Arc::clone(&connections), interval));
        let takes_turns = scope.covers(&KeyRange::single(compaction::KEY));
        let compactor = options.compaction_interval.filter(|_| takes_turns).map(compact);
        let (probes, leases, room, follower) = (Probes::default(), Leases::new(), Room::default(), OnceCell::new());
        Ok(Self { shared: Arc::new(Shared { connections, scope, hub, follower, probes, leases, room, compactor }) })
    }
}

#[async_trait]
impl Watcher for EtcdStore {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let shared = &self.shared;
        if !shared.scope.covers(&range) {
            let why = format!("{range:?} is not within the prefix that the store may watch");
            return Err(StoreError::InvalidArgument(why));
        }
        shared.follow().await?;
        loop {
            match shared.hub.publisher.watch(range.clone(), after) {
                Err(StoreError::Compacted { .. }) => return shared.catch_up(range, after).await,
                Err(StoreError::FutureRevision { .. }) => {}
                outcome => return outcome,
            }
            let current = shared.ask_revision().await?;
            if after > current {
                return Err(StoreError::FutureRevision { requested: after, current });
            }
            if !shared.hub.reach(after, PATIENCE).await {
                return shared.catch_up(range, after).await;
            }
        }
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        require_key(key)?;
        let outcome = read::get(&self.shared.connections, key, at).await;
        self.shared.read(at, outcome).await
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        let outcome = read::list(&self.shared.connections, range, &options).await;
        let page = self.shared.read(options.at, outcome).await?;
        self.shared.hub.announce(page.revision);
        Ok(page)
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let operations = transaction.operations();
        require_sense(operations)?;
        if transaction::is_empty(operations) {
            return self.revision().await;
        }
        self.shared.commit(operations).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        let revision = self.shared.ask_revision().await?;
        self.shared.hub.reach(revision, PATIENCE).await;
        Ok(revision)
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let shared = &self.shared;
        let current = shared.ask_revision().await?;
        if revision > current {
            return Err(StoreError::FutureRevision { requested: revision, current });
        }
        if revision == 0 {
            return Ok(());
        }
        // Watches that are about to be told what happened before it are not to lose it.
        shared.hub.reach(revision, PATIENCE).await;
        compaction::compact(&shared.connections, revision).await?;
        shared.hub.publisher.compact(revision, &mut Forgotten::default());
        Ok(())
    }
}
