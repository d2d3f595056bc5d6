use std::sync::atomic::{AtomicU64, Ordering};

/// Never the same number twice in this process, whoever asks; never zero.
pub(super) fn next() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1);
    LAST.fetch_add(1, Ordering::Relaxed)
}
