//! The one watch of the store, for all its watchers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use orchestra_core::{
    backoff::Backoff,
    store::{Revision, StoreError},
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tracing::warn;

use super::{
    connection::Connections,
    probe,
    range::Scope,
    tail::{News, Tail},
};
use crate::mvcc::Publisher;

const BACKOFF: Backoff = Backoff { base: Duration::from_millis(20), max: Duration::from_secs(2) };

/// What the watch has brought.
pub(super) struct Hub {
    pub(super) publisher: Publisher,
    /// The newest revision that watchers know to be complete.
    seen: watch::Sender<Revision>,
    scope: Arc<Scope>,
    /// Whether the watch, when it is asked, tells how far it is.
    tells_progress: AtomicBool,
    asked: Notify,
}

impl Hub {
    pub(super) fn new(publisher: Publisher, scope: Arc<Scope>, revision: Revision) -> Self {
        let (seen, asked) = (watch::Sender::new(revision), Notify::new());
        Self { publisher, seen, scope, tells_progress: AtomicBool::new(false), asked }
    }

    /// Tells of the revisions that watchers know to be complete; ends with the store.
    pub(super) fn seen(&self) -> watch::Receiver<Revision> {
        self.seen.subscribe()
    }

    /// Waits until watchers know everything up to `revision`, no longer than `patience`, and not at all where they cannot know.
    pub(super) async fn reach(&self, revision: Revision, patience: Duration) -> bool {
        if *self.seen.borrow() >= revision {
            return true;
        }
        if !self.scope.is_whole {
            if !self.tells_progress.load(Ordering::Relaxed) {
                return false;
            }
            self.asked.notify_one();
        }
        let mut seen = self.seen();
        timeout(patience, seen.wait_for(|seen| *seen >= revision)).await.is_ok_and(|seen| seen.is_ok())
    }

    /// The hub's task: publishes what `tail` tells. It ends with the store only.
    pub(super) async fn run(self: Arc<Self>, connections: Arc<Connections>, mut tail: Tail) {
        loop {
            self.tells_progress.store(tail.tells_progress(), Ordering::Relaxed);
            let asked = async {
                if !self.tells_progress.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                self.asked.notified().await;
            };
            let news = tokio::select! {
                news = tail.next() => news,
                () = asked => {
                    tail.ask_progress().await;
                    continue;
                }
            };
            match news {
                Ok(news) => self.publish(news),
                Err(error) => tail = self.begin_anew(&connections, error).await,
            }
        }
    }

    fn publish(&self, News { batches, through }: News) {
        for batch in batches {
            drop(self.publisher.publish_batch(batch));
        }
        self.publisher.advance(through);
        self.publisher.wake();
        self.seen.send_replace(through);
    }

    /// Ends all watches, as what comes next in them cannot be told, and goes on from now.
    async fn begin_anew(&self, connections: &Arc<Connections>, error: StoreError) -> Tail {
        warn!(%error, "etcd's watch cannot be continued, all watches end");
        let ask = || probe::ask(connections, &self.scope.key);
        let revision = BACKOFF.retry(ask, |failure| warn!(?failure, "etcd cannot be asked for its revision")).await;
        self.publisher.restart(revision);
        self.seen.send_replace(revision);
        Tail::new(Arc::clone(connections), Arc::clone(&self.scope), revision)
    }
}
