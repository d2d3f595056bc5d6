use std::{path::Path, sync::Arc};

use orchestra_core::clock::{Clock, SystemClock};

use super::{DurableStore, OpenError};
use crate::mvcc::Retention;

/// How a [`DurableStore`] is opened.
#[derive(Clone)]
pub struct DurableStoreBuilder {
    retention: Retention,
    clock: Arc<dyn Clock>,
    accept_missing_writes: bool,
}

impl Default for DurableStoreBuilder {
    /// 100,000 revisions, 64 MiB, a lag of 8,192, and the machine's clock.
    fn default() -> Self {
        let retention = Retention { revisions: 100_000, bytes: 64 << 20, watch_lag: 8_192 };
        Self { retention, clock: Arc::new(SystemClock), accept_missing_writes: false }
    }
}

impl DurableStoreBuilder {
    /// The most revisions that can be read or watched from.
    #[must_use]
    pub fn retained_revisions(mut self, revisions: usize) -> Self {
        self.retention.revisions = revisions;
        self
    }

    /// The most bytes of values in those revisions' events, and in those that a watcher lags behind.
    #[must_use]
    pub fn retained_bytes(mut self, bytes: usize) -> Self {
        self.retention.bytes = bytes;
        self
    }

    /// How many revisions of its range a watcher may lag behind before it gets
    /// [`SlowWatcher`](orchestra_core::store::StoreError::SlowWatcher).
    #[must_use]
    pub fn watch_lag(mut self, revisions: usize) -> Self {
        self.retention.watch_lag = revisions;
        self
    }

    /// The clock by which times to live go on while the store is closed. While it is open they run on tokio's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens a folder that has lost writes, as it is: what would be [`OpenError::MissingWrites`] is told in the log only. New
    /// commits then get the revisions of the lost ones, so whoever has seen those must forget what it knows.
    #[must_use]
    pub fn accept_missing_writes(mut self, accept: bool) -> Self {
        self.accept_missing_writes = accept;
        self
    }

    /// Opens the store in `folder`, which is made if it is missing.
    ///
    /// All of it is read and compared with its checksums, in the calling thread: about a second for 100,000 objects on a slow
    /// disk. That is what is kept, with its history, and at most as much again, or 8 MiB, that is superseded and not removed yet;
    /// what else the file has room for is not read.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self, folder: impl AsRef<Path>) -> Result<DurableStore, OpenError> {
        DurableStore::open_as_told(folder.as_ref(), self.retention, self.clock, self.accept_missing_writes)
    }
}
