use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// How much time something may take, which may be cut short meanwhile.
#[derive(Clone)]
pub(super) struct Allowance {
    deadline: Instant,
    /// Nothing was allowed at all.
    none: bool,
    /// How long the pod's containers may take to stop, once it is to end.
    grace: watch::Receiver<Option<Duration>>,
}

impl Allowance {
    pub(super) fn new(time: Duration, grace: watch::Receiver<Option<Duration>>) -> Self {
        // Times without end are cut to a hundred years.
        let deadline = Instant::now() + time.min(Duration::from_secs(100 * 365 * 24 * 3600));
        Self { deadline, none: time.is_zero(), grace }
    }

    /// What is left: not less than `least`, unless nothing was allowed from the start.
    pub(super) fn left(&self, least: Duration) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.none { left } else { left.max(least) }
    }

    /// Waits until less time is left than there was.
    pub(super) async fn shortened(&mut self) {
        while self.grace.changed().await.is_ok() {
            let Some(grace) = *self.grace.borrow_and_update() else { continue };
            let deadline = Instant::now() + grace;
            if deadline < self.deadline {
                (self.deadline, self.none) = (deadline, grace.is_zero());
                return;
            }
        }
        // Nobody will say any more.
        std::future::pending().await
    }

    /// Does `action` as long as there is time; `None` if there was not enough.
    pub(super) async fn within<T>(&mut self, action: impl Future<Output = T>) -> Option<T> {
        let mut action = std::pin::pin!(action);
        loop {
            if self.deadline <= Instant::now() {
                return None;
            }
            tokio::select! {
                biased;
                done = &mut action => return Some(done),
                () = sleep_until(self.deadline) => return None,
                () = self.shortened() => {}
            }
        }
    }
}
