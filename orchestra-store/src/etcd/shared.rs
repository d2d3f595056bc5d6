use std::sync::Arc;

use futures::future::try_join_all;
use orchestra_core::store::{Change, KeyRange, Operation, ReadAt, Revision, StoreError, WatchStream};
use tokio::{sync::OnceCell, task::JoinHandle};

use super::{
    catch_up, compaction,
    connection::{Connections, Repeatable},
    entry,
    failure::{Failure, Kind},
    hub::Hub,
    lease::Leases,
    probe::Probes,
    range::Scope,
    read::{self, Unread},
    room::Room,
    tail::Tail,
    transaction::{self, Request},
};

/// How often a commit is tried whose leases end before their time.
const ATTEMPTS: usize = 3;

/// What the clones of a store share.
pub(super) struct Shared {
    pub(super) connections: Arc<Connections>,
    pub(super) scope: Arc<Scope>,
    pub(super) hub: Arc<Hub>,
    /// The hub's task, once somebody watches: without watchers, etcd is spared telling everything twice.
    pub(super) follower: OnceCell<JoinHandle<()>>,
    pub(super) probes: Probes,
    pub(super) leases: Leases,
    pub(super) room: Room,
    pub(super) compactor: Option<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in self.follower.get().into_iter().chain(&self.compactor) {
            task.abort();
        }
        self.hub.publisher.close();
    }
}

impl Shared {
    /// Has the hub follow etcd, from now on if it does not yet.
    pub(super) async fn follow(&self) -> Result<(), StoreError> {
        let follow = || async {
            let tail = self.hub.begin(&self.connections).await?;
            Ok(tokio::spawn(Arc::clone(&self.hub).run(Arc::clone(&self.connections), tail)))
        };
        self.follower.get_or_try_init(follow).await.map(drop)
    }

    pub(super) async fn ask_revision(&self) -> Result<Revision, Failure> {
        let revision = self.probes.revision(&self.connections, &self.scope.key).await?;
        self.hub.announce(revision);
        Ok(revision)
    }

    /// What `failure` of a read at `requested` tells.
    async fn unread(&self, failure: Failure, requested: Revision) -> StoreError {
        match failure.kind {
            Kind::FutureRevision => match self.ask_revision().await {
                Ok(current) => StoreError::FutureRevision { requested, current },
                Err(failure) => failure.into(),
            },
            Kind::Compacted => {
                let oldest = compaction::oldest(&self.connections, &self.scope.key).await;
                StoreError::Compacted { requested, oldest: oldest.unwrap_or(requested + 1) }
            }
            _ => failure.into(),
        }
    }

    pub(super) async fn read<T>(&self, at: ReadAt, outcome: Result<T, Unread>) -> Result<T, StoreError> {
        let requested = match at {
            ReadAt::Latest => 0,
            ReadAt::Revision(revision) => revision,
        };
        match outcome {
            Ok(read) => Ok(read),
            Err(Unread::Error(error)) => Err(error),
            Err(Unread::Failed(failure)) => Err(self.unread(failure, requested).await),
        }
    }

    /// A watch that etcd itself tells the beginning of.
    pub(super) async fn catch_up(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        // A watch can begin with the revision whose state can be read.
        if let Err(failure) = read::check(&self.connections, &self.scope.key, after + 1).await
            && failure.kind != Kind::FutureRevision
        {
            return Err(self.unread(failure, after).await);
        }
        let tail = Tail::new(Arc::clone(&self.connections), Arc::clone(&self.scope), after);
        Ok(catch_up::watch(&self.hub, tail, range, after))
    }

    /// A lease for each put that has a time to live.
    async fn leases(&self, operations: &[Operation]) -> Result<Vec<i64>, Failure> {
        let ttls = operations.iter().filter_map(|operation| match operation.change {
            Change::Put { ttl, .. } => ttl,
            _ => None,
        });
        try_join_all(ttls.map(|ttl| self.leases.lease(&self.connections, ttl))).await
    }

    pub(super) async fn commit(&self, operations: &[Operation]) -> Result<Revision, StoreError> {
        self.room.require(&self.connections, operations).await?;
        let mut attempts = 1;
        loop {
            // No key is touched by that, so nothing of it is unknown.
            let leases = self.leases(operations).await?;
            let answer = self.connections.call(Repeatable::No, |clients| {
                let mut kv = clients.kv.clone();
                let request = Request::of(operations, &leases);
                async move { request.send(&mut kv).await }
            });
            let answer = match answer.await {
                Ok(answer) => answer,
                Err(failure) if failure.kind == Kind::LeaseNotFound && attempts < ATTEMPTS => {
                    self.leases.forget(&leases);
                    attempts += 1;
                    continue;
                }
                Err(failure) => {
                    if failure.kind == Kind::NoSpace {
                        self.room.doubt();
                    }
                    return Err(failure.of_commit());
                }
            };
            if !answer.succeeded {
                return Err(transaction::conflict(operations, answer));
            }
            let revision = entry::revision(answer.header.as_ref()).map_err(Failure::of_commit)?;
            self.hub.announce(revision);
            return Ok(revision);
        }
    }
}
