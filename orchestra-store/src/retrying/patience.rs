use std::time::Duration;

use orchestra_core::backoff::Backoff;
use tokio::time::{Instant, sleep_until};

const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How much longer something that fails is tried.
pub(super) struct Patience {
    limit: Duration,
    backoff: Backoff,
    row: Option<Row>,
}

/// Failures in a row.
struct Row {
    until: Instant,
    count: u32,
}

impl Patience {
    pub(super) fn new(limit: Duration, backoff: Backoff) -> Self {
        Self { limit, backoff, row: None }
    }

    /// Begins anew after a success.
    pub(super) fn restore(&mut self) {
        self.row = None;
    }

    /// Waits after a failure; `false` if the limit is reached.
    pub(super) async fn wait(&mut self) -> bool {
        let now = Instant::now();
        // A limit beyond what the clock can tell is as good as the longest that it can.
        let until = now.checked_add(self.limit).unwrap_or_else(|| now + LONGEST);
        let row = self.row.get_or_insert(Row { until, count: 0 });
        if now >= row.until {
            return false;
        }
        let next = now + self.backoff.delay(row.count);
        row.count = row.count.saturating_add(1);
        // The last attempt is at the limit.
        sleep_until(next.min(row.until)).await;
        true
    }

    /// When the limit is reached; never before the first failure.
    pub(super) fn until(&self) -> Option<Instant> {
        self.row.as_ref().map(|row| row.until)
    }
}
