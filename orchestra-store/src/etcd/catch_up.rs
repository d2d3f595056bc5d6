//! Watches from before what the hub remembers.

use std::time::Duration;

use futures::{StreamExt, stream};
use orchestra_core::store::{KeyRange, Revision, StoreError, WatchBatch, WatchStream};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{hub::Hub, session::News, tail::Tail};
use crate::mvcc::Publisher;

/// How many batches are read ahead of the watcher, each about as large as a message of etcd's.
const AHEAD: usize = 4;
/// How long etcd's watch is kept, unread, for a watcher that does not read.
const PATIENCE: Duration = Duration::from_millis(100);

/// A watch that reads the past from etcd until it has come to where the hub can go on.
///
/// It reads what happened in all keys, not only in its range: so each revision shows, and it knows when it has come there.
///
/// It has a task, as all that the store asks etcd comes over one connection: what is sent and not read would stop the rest. The
/// task reads a little ahead of the watcher; while that does not read, it has no watch with etcd.
struct CatchUp {
    publisher: Publisher,
    seen: watch::Receiver<Revision>,
    tail: Tail,
    range: KeyRange,
    /// Everything up to here was given out.
    after: Revision,
    /// What comes next, and is the end.
    failed: Option<StoreError>,
}

enum State {
    Behind(mpsc::Receiver<Step>, AbortOnDropHandle<()>),
    Joined(WatchStream),
    Ended,
}

/// The changes of `range` after revision `after`, which `tail` begins with.
pub(super) fn watch(hub: &Hub, tail: Tail, range: KeyRange, after: Revision) -> WatchStream {
    let (publisher, seen) = (hub.publisher.clone(), hub.seen());
    let behind = CatchUp { publisher, seen, tail, range, after, failed: None };
    let (queue, told) = mpsc::channel(AHEAD);
    let task = AbortOnDropHandle::new(tokio::spawn(behind.run(queue)));
    Box::pin(stream::unfold(State::Behind(told, task), next))
}

async fn next(mut state: State) -> Option<(Result<WatchBatch, StoreError>, State)> {
    loop {
        match state {
            State::Behind(mut told, task) => match told.recv().await? {
                Step::Batch(batch) => return Some((Ok(batch), State::Behind(told, task))),
                Step::Joined(stream) => state = State::Joined(stream),
                Step::Failed(error) => return Some((Err(error), State::Ended)),
            },
            State::Joined(mut stream) => {
                let item = stream.next().await?;
                return Some((item, State::Joined(stream)));
            }
            State::Ended => return None,
        }
    }
}

enum Step {
    Batch(WatchBatch),
    Joined(WatchStream),
    Failed(StoreError),
}

impl CatchUp {
    /// The task, which ends where the watch joins the others or fails, and with the store.
    async fn run(mut self, queue: mpsc::Sender<Step>) {
        while let Some(room) = self.room(&queue).await {
            let Some(step) = self.next().await else { return };
            let is_last = !matches!(step, Step::Batch(_));
            room.send(step);
            if is_last {
                return;
            }
        }
    }

    /// Waits for the watcher; `None` where the store is closed.
    async fn room<'a>(&mut self, queue: &'a mpsc::Sender<Step>) -> Option<mpsc::Permit<'a, Step>> {
        if let Ok(room) = timeout(PATIENCE, queue.reserve()).await {
            return room.ok();
        }
        self.tail.rest();
        tokio::select! {
            room = queue.reserve() => room.ok(),
            // What is seen meanwhile is of no interest.
            _ = self.seen.wait_for(|_| false) => None,
        }
    }

    /// `None` where the store is closed.
    async fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(error) = self.failed.take() {
                return Some(Step::Failed(error));
            }
            let joins_at = match self.publisher.watch(self.range.clone(), self.after) {
                Ok(stream) => return Some(Step::Joined(stream)),
                // The hub has yet to come here.
                Err(StoreError::FutureRevision { .. }) => self.after,
                Err(StoreError::Compacted { .. }) => Revision::MAX,
                Err(_) => return None,
            };
            let news = tokio::select! {
                news = self.tail.next() => news,
                seen = self.seen.wait_for(|seen| *seen >= joins_at) => {
                    seen.ok()?;
                    continue;
                }
            };
            match news {
                Ok(news) => {
                    if let Some(batch) = self.take(news) {
                        return Some(Step::Batch(batch));
                    }
                }
                Err(error) => return Some(Step::Failed(error)),
            }
        }
    }

    fn take(&mut self, News { batches, through }: News) -> Option<WatchBatch> {
        let before = self.after;
        let mut events = Vec::new();
        for batch in batches {
            match batch.changes(&self.range) {
                Ok(changes) => events.extend(changes.cloned()),
                Err(error) => {
                    self.failed = Some(error);
                    return (self.after > before).then_some(WatchBatch { revision: self.after, events });
                }
            }
            self.after = batch.revision;
        }
        self.after = through;
        Some(WatchBatch { revision: through, events })
    }
}
