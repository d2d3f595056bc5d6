use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The state of the line that all clones of a store share.
pub(super) struct Line {
    faulty: AtomicBool,
    cut: AtomicBool,
    /// Cancelled when the line is next cut.
    watches: Mutex<CancellationToken>,
}

impl Default for Line {
    fn default() -> Self {
        Self { faulty: AtomicBool::new(true), cut: AtomicBool::new(false), watches: Mutex::default() }
    }
}

impl Line {
    pub(super) fn is_faulty(&self) -> bool {
        self.faulty.load(Ordering::Acquire)
    }

    pub(super) fn set_faulty(&self, faulty: bool) {
        self.faulty.store(faulty, Ordering::Release);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        std::mem::take(&mut *self.watches.lock()).cancel();
    }

    pub(super) fn mend(&self) {
        self.cut.store(false, Ordering::Release);
    }

    /// Cancelled when the line is next cut.
    pub(super) fn until_cut(&self) -> CancellationToken {
        self.watches.lock().clone()
    }
}
