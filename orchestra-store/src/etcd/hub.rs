//! The one watch of the store, for all its watchers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use orchestra_core::store::{Revision, StoreError};
use tokio::{sync::watch, time::timeout};
use tracing::warn;

use super::{
    connection::Connections,
    pace::Pace,
    probe,
    progress::Progress,
    range::Scope,
    session::News,
    tail::{BACKOFF, Tail},
};
use crate::mvcc::{Forgotten, Publisher, Retention};

/// How often etcd is asked how far it is, by those who wait for that: what it answers may be older than what they wait for.
const ASKED_EACH: Duration = Duration::from_millis(50);

/// What the watch has brought.
pub(super) struct Hub {
    pub(super) publisher: Publisher,
    /// The newest revision that watchers know to be complete.
    seen: watch::Sender<Revision>,
    /// Whether anything is seen at all: nobody waits for what nobody watches.
    follows: AtomicBool,
    scope: Arc<Scope>,
    progress: Arc<Progress>,
    retention: Retention,
}

impl Hub {
    pub(super) fn new(retention: Retention, scope: Arc<Scope>, revision: Revision) -> Self {
        let (seen, follows) = (watch::Sender::new(revision), AtomicBool::new(false));
        let publisher = Publisher::new(retention, revision);
        Self { publisher, seen, follows, scope, progress: Arc::default(), retention }
    }

    /// Tells of the revisions that watchers know to be complete; ends with the store.
    pub(super) fn seen(&self) -> watch::Receiver<Revision> {
        self.seen.subscribe()
    }

    /// Tells that `revision` is known to callers: watches that are asked for what happened hear of it as soon as the hub does.
    pub(super) fn announce(&self, revision: Revision) {
        self.publisher.announce(revision);
        if !self.scope.is_whole && self.follows.load(Ordering::Acquire) && *self.seen.borrow() < revision {
            self.progress.ask();
        }
    }

    /// Waits until watchers know everything up to `revision`, no longer than `patience`, and not at all where they cannot know.
    pub(super) async fn reach(&self, revision: Revision, patience: Duration) -> bool {
        if *self.seen.borrow() >= revision || !self.follows.load(Ordering::Acquire) {
            return true;
        }
        let mut seen = self.seen();
        let reached = async {
            while self.scope.is_whole || self.progress.ask() {
                let asked_each = if self.scope.is_whole { patience } else { ASKED_EACH };
                if let Ok(seen) = timeout(asked_each, seen.wait_for(|seen| *seen >= revision)).await {
                    return seen.is_ok();
                }
            }
            false
        };
        timeout(patience, reached).await.unwrap_or(false)
    }

    /// Begins at etcd's revision. The result is for [`run`](Self::run).
    pub(super) async fn begin(&self, connections: &Arc<Connections>) -> Result<Tail, StoreError> {
        let revision = probe::ask(connections, &self.scope.key).await?.revision;
        let mut tail = self.tail(connections, revision);
        tail.begin().await?;
        self.restart(revision);
        self.follows.store(true, Ordering::Release);
        Ok(tail)
    }

    fn restart(&self, revision: Revision) {
        self.publisher.restart(revision);
        self.seen.send_replace(revision);
    }

    fn tail(&self, connections: &Arc<Connections>, after: Revision) -> Tail {
        Tail::new(Arc::clone(connections), Arc::clone(&self.scope), after).of_the_hub(&self.progress)
    }

    /// The hub's task: publishes what `tail` tells. It ends with the store only.
    pub(super) async fn run(self: Arc<Self>, connections: Arc<Connections>, mut tail: Tail) {
        let mut pace = Pace::new(self.retention);
        loop {
            match tail.next().await {
                Ok(news) => self.publish(news, &mut pace).await,
                Err(error) => tail = self.begin_anew(&connections, error).await,
            }
        }
    }

    async fn publish(&self, News { batches, through }: News, pace: &mut Pace) {
        for batch in batches {
            let full = pace.take(&batch);
            self.publisher.publish(Arc::new(batch), &mut Forgotten::default());
            if full {
                self.publisher.wake();
                pace.rest().await;
            }
        }
        self.publisher.advance(through);
        self.publisher.wake();
        self.seen.send_replace(through);
    }

    /// Ends all watches, as what comes next in them cannot be told, and goes on from now.
    async fn begin_anew(&self, connections: &Arc<Connections>, error: StoreError) -> Tail {
        warn!(%error, "etcd's watch cannot be continued, all watches end");
        if matches!(error, StoreError::Unauthorized(_) | StoreError::InvalidArgument(_)) {
            // It may be long until etcd tells anything. If it does, nothing was missed.
            let seen = *self.seen.borrow();
            self.restart(seen);
            return self.tail(connections, seen);
        }
        let ask = || probe::ask(connections, &self.scope.key);
        let told = BACKOFF.retry(ask, |failure| warn!(?failure, "etcd cannot be asked for its revision")).await;
        let revision = told.revision;
        self.restart(revision);
        self.tail(connections, revision)
    }
}
