//! Watches from before what the hub remembers.

use futures::{StreamExt, stream};
use orchestra_core::store::{KeyRange, Revision, StoreError, WatchBatch, WatchStream};
use tokio::sync::watch;

use super::{hub::Hub, session::News, tail::Tail};
use crate::mvcc::Publisher;

/// A watch that reads the past from etcd until it has come to where the hub can go on.
///
/// It reads what happened in all keys, not only in its range: so each revision shows, and it knows when it has come there.
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
    Behind(Box<CatchUp>),
    Joined(WatchStream),
    Ended,
}

/// The changes of `range` after revision `after`, which `tail` begins with.
pub(super) fn watch(hub: &Hub, tail: Tail, range: KeyRange, after: Revision) -> WatchStream {
    let (publisher, seen) = (hub.publisher.clone(), hub.seen());
    let behind = Box::new(CatchUp { publisher, seen, tail, range, after, failed: None });
    Box::pin(stream::unfold(State::Behind(behind), next))
}

async fn next(mut state: State) -> Option<(Result<WatchBatch, StoreError>, State)> {
    loop {
        match state {
            State::Behind(mut behind) => match behind.next().await {
                Some(Step::Batch(batch)) => return Some((Ok(batch), State::Behind(behind))),
                Some(Step::Joined(stream)) => state = State::Joined(stream),
                Some(Step::Failed(error)) => return Some((Err(error), State::Ended)),
                None => return None,
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
