use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use orchestra_core::store::{Event, Revision, StoreError, WatchBatch};

use super::{
    Batch,
    feed::{Feed, Polled},
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
        Self { shared, feed, watcher, backlog, delivered: after, ended: false }
    }

    fn deliver(&mut self, batches: impl IntoIterator<Item = Arc<Batch>>) -> WatchBatch {
        let mut events: Vec<Event> = Vec::new();
        for batch in batches {
            self.delivered = batch.revision;
            events.extend(batch.events.iter().filter(|event| self.feed.range.contains(event.key())).cloned());
        }
        WatchBatch { revision: self.delivered, events }
    }
}

impl futures::Stream for Stream {
    type Item = Result<WatchBatch, StoreError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if !this.backlog.is_empty() {
            let some = this.backlog.len().min(REVISIONS_AT_ONCE);
            let batches: Vec<_> = this.backlog.drain(..some).collect();
            return Poll::Ready(Some(Ok(this.deliver(batches))));
        }
        loop {
            // Read before the feed: whatever was published up to here has reached the feed.
            let published = this.shared.published();
            match this.feed.poll(this.watcher, REVISIONS_AT_ONCE) {
                Polled::Batches(batches) => return Poll::Ready(Some(Ok(this.deliver(batches)))),
                Polled::Lagged => {
                    this.end();
                    return Poll::Ready(Some(Err(StoreError::SlowWatcher { revision: this.delivered })));
                }
                Polled::Nothing if published > this.delivered => {
                    this.delivered = published;
                    return Poll::Ready(Some(Ok(WatchBatch { revision: published, events: Vec::new() })));
                }
                Polled::Nothing if this.feed.wait(this.watcher, context.waker()) => return Poll::Pending,
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
