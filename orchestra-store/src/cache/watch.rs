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

/// The events of a range, in order. It ends when the watcher lagged so far that events were lost to it: it has to list again.
pub struct CacheWatch {
    shared: Arc<Shared>,
    range: KeyRange,
    watcher: u64,
    ready: VecDeque<Arc<CachedEvent>>,
    after: Revision,
    /// Everything in the cache up to this revision has been taken.
    taken: Revision,
}

impl CacheWatch {
    pub(super) fn new(shared: Arc<Shared>, range: KeyRange, watcher: u64, after: Revision) -> Self {
        Self { shared, range, watcher, ready: VecDeque::new(), after, taken: after }
    }

    /// The revision up to which everything has been yielded: what a bookmark may say.
    pub fn progress(&self) -> Revision {
        match self.ready.front() {
            Some(next) => self.after.max(next.revision.saturating_sub(1)),
            None => self.taken,
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
                this.taken = this.taken.max(state.revision);
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
