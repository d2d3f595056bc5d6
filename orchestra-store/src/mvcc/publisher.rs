use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use orchestra_core::store::{KeyRange, Revision, StoreError, WatchStream};
use parking_lot::Mutex;

use super::{
    Batch, Forgotten,
    feed::{Capacity, End, Feed, Feeds},
    watch,
};

/// How much history is kept, beside what compaction drops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// The most revisions.
    pub(crate) revisions: usize,
    /// The most bytes of values in those revisions' events, and in those that a watcher lags behind.
    pub(crate) bytes: usize,
    /// How many revisions of its range a watcher may lag behind.
    pub(crate) watch_lag: usize,
}

/// The newest changes, for watches: from the past out of the log, and from now on by the feeds. Clones share it.
#[derive(Clone)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    log: Mutex<Log>,
    /// The newest revision, stored after its events have reached the feeds.
    published: AtomicU64,
    /// A revision that was told to somebody, and is yet to be published; zero where none is.
    announced: AtomicU64,
    /// Whether there are watchers to wake.
    stirred: AtomicBool,
}

struct Log {
    retention: Retention,
    revision: Revision,
    /// The oldest revision that a watch may tell of.
    oldest: Revision,
    /// Every batch from `oldest` on.
    batches: VecDeque<Logged>,
    bytes: usize,
    feeds: Feeds,
    /// Feeds whose watchers were asked for revisions that are not published yet.
    behind: Vec<Arc<Feed>>,
    closed: bool,
}

/// A batch, with what is asked of it when it is forgotten: by then it is far away.
struct Logged {
    revision: Revision,
    bytes: usize,
    batch: Arc<Batch>,
}

impl Publisher {
    /// A log that begins after `revision`.
    pub(crate) fn new(retention: Retention, revision: Revision) -> Self {
        let log = Log {
            retention,
            revision,
            oldest: if revision == 0 { 0 } else { revision + 1 },
            batches: VecDeque::new(),
            bytes: 0,
            feeds: Feeds::new(Capacity::new(retention.watch_lag, retention.bytes)),
            behind: Vec::new(),
            closed: false,
        };
        let shared = Shared {
            log: Mutex::new(log),
            published: AtomicU64::new(revision),
            announced: AtomicU64::new(0),
            stirred: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes `batch` that of its revision, the next one, and adds the oldest batches, which there is no longer room for, to
    /// `forgotten`; the result is how many. Watchers are woken by [`wake`](Self::wake), which is for when the caller has unlocked what it
    /// holds.
    pub(crate) fn publish(&self, batch: Arc<Batch>, forgotten: &mut Forgotten) -> usize {
        let revision = batch.revision;
        let mut log = self.shared.log.lock();
        let forgotten = log.push(batch, forgotten);
        self.shared.stir(&log);
        self.shared.published.store(revision, Ordering::Release);
        forgotten
    }

    /// Wakes the watchers of what was published since the last call.
    pub(crate) fn wake(&self) {
        if !self.shared.stirred.load(Ordering::Acquire) {
            return;
        }
        let mut log = self.shared.log.lock();
        self.shared.stirred.store(false, Ordering::Release);
        let mut wakers = log.feeds.take_wakers();
        for feed in log.behind.drain(..) {
            feed.wake(&mut wakers);
        }
        drop(log);
        for waker in wakers {
            waker.wake();
        }
    }

    /// Adds what is older than `revision` to `forgotten`; the result is how many batches.
    pub(crate) fn compact(&self, revision: Revision, forgotten: &mut Forgotten) -> usize {
        self.shared.log.lock().compact(revision, forgotten)
    }

    /// Tells that `revision` is known outside: watches that are asked from now on, and know less, are woken when they know more.
    #[cfg_attr(not(feature = "etcd"), expect(dead_code, reason = "stores in this process publish before they tell"))]
    pub(crate) fn announce(&self, revision: Revision) {
        self.shared.announced.fetch_max(revision, Ordering::AcqRel);
    }

    /// Tells that nothing happened up to `revision` but what was published.
    #[cfg_attr(not(feature = "etcd"), expect(dead_code, reason = "stores in this process miss nothing"))]
    pub(crate) fn advance(&self, revision: Revision) {
        let mut log = self.shared.log.lock();
        log.revision = log.revision.max(revision);
        self.shared.published.store(log.revision, Ordering::Release);
    }

    /// Begins anew after `revision`, as what happened before it was missed: all watches end with [`StoreError::Compacted`].
    #[cfg_attr(not(feature = "etcd"), expect(dead_code, reason = "stores in this process miss nothing"))]
    pub(crate) fn restart(&self, revision: Revision) {
        let mut log = self.shared.log.lock();
        // Ended before the revision is told, so that no watcher takes what it missed for nothing.
        log.feeds.end(End::Missed(revision));
        log.batches.clear();
        log.bytes = 0;
        log.oldest = revision + 1;
        log.revision = revision;
        self.shared.published.store(revision, Ordering::Release);
        self.shared.announced.store(0, Ordering::Release);
        self.shared.stir(&log);
        drop(log);
        self.wake();
    }

    /// Ends all watches, as the store is gone.
    pub(crate) fn close(&self) {
        let mut log = self.shared.log.lock();
        log.closed = true;
        log.feeds.end(End::Closed);
        self.shared.stir(&log);
        drop(log);
        self.wake();
    }

    /// The changes of `range` after revision `after`.
    pub(crate) fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let mut log = self.shared.log.lock();
        let backlog = log.backlog(&range, after)?;
        let (feed, watcher) = log.feeds.subscribe(range);
        drop(log);
        Ok(Box::pin(watch::Stream::new(Arc::clone(&self.shared), feed, watcher, backlog, after)))
    }
}

impl Shared {
    pub(super) fn published(&self) -> Revision {
        self.published.load(Ordering::Acquire)
    }

    /// Has `feed`, whose watcher knows everything up to `delivered`, woken by progress if more is known outside; `false` if it is here
    /// already.
    pub(super) fn await_progress(&self, feed: &Arc<Feed>, delivered: Revision) -> bool {
        if self.announced.load(Ordering::Acquire) <= delivered {
            return true;
        }
        let mut log = self.log.lock();
        if log.revision > delivered {
            return false;
        }
        if feed.await_progress() {
            log.behind.push(Arc::clone(feed));
            self.stir(&log);
        }
        true
    }

    /// Has the next call of `wake` look for watchers, if there are some.
    fn stir(&self, log: &Log) {
        if log.feeds.has_wakers() || !log.behind.is_empty() {
            self.stirred.store(true, Ordering::Release);
        }
    }

    pub(super) fn unsubscribe(&self, feed: &Arc<Feed>, watcher: u64) {
        self.log.lock().feeds.unsubscribe(feed, watcher);
    }
}

impl Log {
    fn push(&mut self, batch: Arc<Batch>, forgotten: &mut Forgotten) -> usize {
        self.revision = batch.revision;
        self.feeds.publish(&batch);
        let bytes = batch.bytes();
        self.bytes += bytes;
        self.batches.push_back(Logged { revision: batch.revision, bytes, batch });
        let Retention { revisions, bytes, .. } = self.retention;
        let before = self.batches.len();
        while self.batches.len() > revisions.max(1) || (self.bytes > bytes && self.batches.len() > 1) {
            self.forget_oldest(forgotten);
        }
        before - self.batches.len()
    }

    fn compact(&mut self, revision: Revision, forgotten: &mut Forgotten) -> usize {
        let old = self.batches.partition_point(|logged| logged.revision < revision);
        (0..old).for_each(|_| self.forget_oldest(forgotten));
        self.oldest = self.oldest.max(revision);
        old
    }

    fn forget_oldest(&mut self, forgotten: &mut Forgotten) {
        let Some(Logged { revision, bytes, batch }) = self.batches.pop_front() else { return };
        self.bytes -= bytes;
        // A compaction may have been ahead of what is published.
        self.oldest = self.oldest.max(revision + 1);
        forgotten.push(batch, bytes);
    }

    /// What happened in `range` after `after`.
    fn backlog(&self, range: &KeyRange, after: Revision) -> Result<VecDeque<Arc<Batch>>, StoreError> {
        if self.closed {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        if after > self.revision {
            return Err(StoreError::FutureRevision { requested: after, current: self.revision });
        }
        if after + 1 < self.oldest {
            return Err(StoreError::Compacted { requested: after, oldest: self.oldest });
        }
        let first = self.batches.partition_point(|logged| logged.revision <= after);
        let later = self.batches.range(first..).map(|logged| &logged.batch);
        Ok(later.filter(|batch| batch.touches(range)).cloned().collect())
    }
}
