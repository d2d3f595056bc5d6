use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use orchestra_core::store::{Event, Revision, StoreError, WatchBatch};

use super::{
    Batch,
    feed::{End, Feed, Polled},
    publisher::Shared,
};

/// The most revisions that one [`WatchBatch`] covers, so that a long backlog does not become one huge item.
const REVISIONS_AT_ONCE: usize = 256;

/// One watch: first what happened before it began, then its feed.
pub(super) struct Stream {
    shared: Arc<Shared>,
    feed: Arc<Feed>,
    watcher: u64,
    backlog: VecDeque<Arc<Batch>>,
    /// Everything up to here has been delivered.
    delivered: Revision,
    /// What comes after what was delivered, and ends the watch.
    failed: Option<StoreError>,
    ended: bool,
}

impl Stream {
    /// Leaves the feed at once: a stream that has ended may be kept for long.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.shared.unsubscribe(&self.feed, self.watcher);
            self.backlog.clear();
        }
    }

    pub(super) fn new(
        shared: Arc<Shared>,
        feed: Arc<Feed>,
        watcher: u64,
        backlog: VecDeque<Arc<Batch>>,
        after: Revision,
    ) -> Self {
        Self { shared, feed, watcher, backlog, delivered: after, failed: None, ended: false }
    }

    fn deliver(&mut self, batches: impl IntoIterator<Item = Arc<Batch>>) -> Result<WatchBatch, StoreError> {
        let mut events: Vec<Event> = Vec::new();
        for batch in batches {
            match batch.changes(&self.feed.range) {
                Ok(changes) => events.extend(changes.cloned()),
                Err(error) if events.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
            self.delivered = batch.revision;
        }
        Ok(WatchBatch { revision: self.delivered, events })
    }

    fn fail(&mut self, error: StoreError) -> Poll<Option<Result<WatchBatch, StoreError>>> {
        self.end();
        Poll::Ready(Some(Err(error)))
    }

    fn give(&mut self, batches: Vec<Arc<Batch>>) -> Poll<Option<Result<WatchBatch, StoreError>>> {
        match self.deliver(batches) {
            Ok(batch) => Poll::Ready(Some(Ok(batch))),
            Err(error) => self.fail(error),
        }
    }
}

impl futures::Stream for Stream {
    type Item = Result<WatchBatch, StoreError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(error) = this.failed.take() {
            return this.fail(error);
        }
        if !this.backlog.is_empty() {
            let some = this.backlog.len().min(REVISIONS_AT_ONCE);
            let batches = this.backlog.drain(..some).collect();
            return this.give(batches);
        }
        loop {
            // Read before the feed: whatever was published up to here has reached the feed.
            let published = this.shared.published();
            match this.feed.poll(this.watcher, REVISIONS_AT_ONCE) {
                Polled::Batches(batches) => return this.give(batches),
                Polled::Lagged => return this.fail(StoreError::SlowWatcher { revision: this.delivered }),
                Polled::Ended(End::Missed(oldest)) => {
                    return this.fail(StoreError::Compacted { requested: this.delivered, oldest });
                }
                Polled::Ended(End::Closed) => {
                    this.end();
                    return Poll::Ready(None);
                }
                Polled::Nothing if published > this.delivered => {
                    this.delivered = published;
                    return Poll::Ready(Some(Ok(WatchBatch { revision: published, events: Vec::new() })));
                }
                Polled::Nothing
                    if this.feed.wait(this.watcher, context.waker())
                        && this.shared.await_progress(&this.feed, this.delivered) =>
                {
                    return Poll::Pending;
                }
                Polled::Nothing => {}
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}
