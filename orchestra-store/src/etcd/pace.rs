use std::time::Duration;

use orchestra_core::store::Event;
use tokio::time::{Instant, sleep_until};

use crate::mvcc::{Batch, Retention};

/// What watchers have to read a bite before the next one is due: those on other threads have yet to be woken.
const PAUSE: Duration = Duration::from_millis(5);

/// How fast a backlog is published, as after a connection was lost: at once it would end watchers that are not slow.
///
/// A bite is a quarter of what a watcher may lag behind.
pub(super) struct Pace {
    bite: Amount,
    taken: Amount,
    begun: Instant,
}

#[derive(Default)]
struct Amount {
    revisions: usize,
    bytes: usize,
}

impl Pace {
    pub(super) fn new(retention: Retention) -> Self {
        let bite = Amount { revisions: retention.watch_lag / 4, bytes: retention.bytes / 4 };
        Self { bite, taken: Amount::default(), begun: Instant::now() }
    }

    /// Counts what is published; `true` if that makes the bite a full one, which is to be followed by a [`rest`](Self::rest).
    pub(super) fn take(&mut self, batch: &Batch) -> bool {
        self.taken.revisions += 1;
        self.taken.bytes += batch.events.iter().map(bytes).sum::<usize>();
        self.taken.revisions >= self.bite.revisions || self.taken.bytes >= self.bite.bytes
    }

    /// Lets watchers read the bite. This takes no time where it took long to come.
    pub(super) async fn rest(&mut self) {
        sleep_until(self.begun + PAUSE).await;
        (self.begun, self.taken) = (Instant::now(), Amount::default());
    }
}

fn bytes(event: &Event) -> usize {
    match event {
        Event::Put { current, .. } => current.value.len(),
        Event::Delete { .. } => 0,
    }
}
