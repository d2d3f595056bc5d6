use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use orchestra_core::store::{KeyRange, Revision};

use super::{CacheError, CachedEvent, follow::Shared, ring::Read};

/// How many events a watcher takes at once.
const AT_ONCE: usize = 256;

/// What a [`CacheWatch`] yields.
pub type CacheWatchItem = Result<Arc<CachedEvent>, CacheError>;

/// The events of a range, in order. It ends with the cache, and after [`CacheError::Expired`] when the watcher lagged so far that
/// events were lost to it: it has to list again.
pub struct CacheWatch {
    shared: Arc<Shared>,
    range: KeyRange,
    watcher: u64,
    ready: VecDeque<Arc<CachedEvent>>,
    after: Revision,
    /// How new the cache was when the watch began.
    began_at: Revision,
    ended: bool,
}

impl CacheWatch {
    pub(super) fn new(shared: Arc<Shared>, range: KeyRange, watcher: u64, after: Revision, began_at: Revision) -> Self {
        Self { shared, range, watcher, ready: VecDeque::new(), after, began_at, ended: false }
    }

    /// The cache's revision when the watch began: there is no news in a progress that is not beyond it.
    pub fn began_at(&self) -> Revision {
        self.began_at
    }

    /// The revision up to which everything has been yielded: what a bookmark may say. It is as new as what the store's watch has
    /// ready to tell.
    pub fn progress(&self) -> Revision {
        self.shared.catch_up();
        if let Some(next) = self.ready.front() {
            return next.revision.saturating_sub(1);
        }
        let state = self.shared.state.read();
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
                    return Poll::Ready(Some(Ok(event)));
                }
                continue;
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let mut state = this.shared.state.write();
            match state.ring.read(this.watcher, AT_ONCE, &mut this.ready) {
                Read::Events => {}
                Read::Closed => return Poll::Ready(None),
                Read::Lagged(oldest) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(CacheError::Expired { requested: this.after, oldest })));
                }
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
        self.shared.state.write().ring.leave(self.watcher);
    }
}
