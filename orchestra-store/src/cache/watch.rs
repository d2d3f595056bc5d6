use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use orchestra_core::store::{KeyRange, Revision};

use super::{CachedEvent, Shared};

/// How many events a watcher takes at once.
const AT_ONCE: usize = 256;

/// What a [`CacheWatch`] yields.
pub type CacheWatchItem = Arc<CachedEvent>;

/// The events of a range, in order. It ends when the watcher lagged so far that events were lost to it (it has to list again),
/// and with the cache.
pub struct CacheWatch {
    shared: Arc<Shared>,
    range: KeyRange,
    watcher: u64,
    ready: VecDeque<Arc<CachedEvent>>,
    after: Revision,
}

impl CacheWatch {
    pub(super) fn new(shared: Arc<Shared>, range: KeyRange, watcher: u64, after: Revision) -> Self {
        Self { shared, range, watcher, ready: VecDeque::new(), after }
    }

    /// The revision up to which everything has been yielded: what a bookmark may say.
    pub fn progress(&self) -> Revision {
        if let Some(next) = self.ready.front() {
            return next.revision.saturating_sub(1);
        }
        let state = self.shared.state.lock();
        match state.ring.unread(self.watcher) {
            Some(0) => self.after,
            Some(next) => next - 1,
            None => self.after.max(state.revision),
        }
    }
}

impl Stream for CacheWatch {
    type Item = CacheWatchItem;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.ready.pop_front() {
                this.after = event.revision;
                if this.range.contains(&event.entry().key) {
                    return Poll::Ready(Some(event));
                }
                continue;
            }
            let mut state = this.shared.state.lock();
            if !state.ring.read(this.watcher, AT_ONCE, &mut this.ready) {
                return Poll::Ready(None);
            }
            if this.ready.is_empty() {
                state.ring.sleep(this.watcher, context.waker());
                return Poll::Pending;
            }
        }
    }
}

impl Drop for CacheWatch {
    fn drop(&mut self) {
        self.shared.state.lock().ring.leave(self.watcher);
    }
}
