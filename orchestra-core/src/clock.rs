//! Wall time as a dependency: [`Clock`], the system's and one that follows tokio's (so also paused) time.
//!
//! Timers everywhere are tokio's. Together with a [`Generator`](crate::random::Generator) this lets one seed replay a
//! whole cluster exactly under `tokio::time::pause`.

use jiff::{SignedDuration, Timestamp};

/// Tells the wall time.
///
/// ```
/// use orchestra_core::clock::{Clock, SystemClock};
/// let clock = SystemClock;
/// assert!(clock.now() <= clock.now());
/// ```
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that starts at a given time and advances with tokio's clock, which tests pause and auto-advance.
///
/// ```
/// # use orchestra_core::clock::{Clock, TokioClock};
/// # use std::time::Duration;
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
/// tokio::time::sleep(Duration::from_secs(3600)).await; // returns at once: time is paused
/// assert_eq!(clock.now().to_string(), "2026-01-01T01:00:00Z");
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Timestamp,
    started: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that reads `origin` now. Call within a tokio runtime.
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.origin.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}
