use std::time::Duration;

use tokio::time::Instant;

/// Virtual time: instants that begin anywhere, and pass when they are told to.
#[derive(Clone, Copy, Debug)]
pub(super) struct VirtualTime {
    began: Instant,
    passed: Duration,
}

impl VirtualTime {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), passed: Duration::ZERO }
    }

    /// The time since the start.
    pub(super) fn passed(&self) -> Duration {
        self.passed
    }

    /// The time now, as queues take it.
    pub(super) fn now(&self) -> Instant {
        self.at(self.passed)
    }

    fn at(&self, passed: Duration) -> Instant {
        self.began.checked_add(passed).unwrap_or(self.began)
    }

    /// How long after the start `instant` is.
    pub(super) fn since_start(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.began)
    }

    /// Lets time pass until then. It does not go back.
    pub(super) fn advance_to(&mut self, passed: Duration) {
        self.passed = self.passed.max(passed);
    }
}
