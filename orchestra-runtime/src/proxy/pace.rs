//! How often the rules are brought up to date.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after a failure; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Lets one run follow another no sooner than a minimum after it, so that changes that come together are made together, and tells when a
/// run that failed is repeated.
#[derive(Debug)]
pub(super) struct Pace {
    minimum: Duration,
    longest_retry: Duration,
    last: Option<Instant>,
    failures: u32,
}

impl Pace {
    pub(super) fn new(minimum: Duration, longest_retry: Duration) -> Self {
        Self { minimum, longest_retry, last: None, failures: 0 }
    }

    /// When the next run may be; `wanted` if something has changed.
    pub(super) fn next(&self, wanted: bool) -> Option<Instant> {
        let Some(last) = self.last else { return wanted.then(Instant::now) };
        let after = match self.failures {
            0 if !wanted => return None,
            0 => self.minimum,
            // What has failed is not wanted the more for a further change.
            failures => FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures - 1)).min(self.longest_retry),
        };
        Some(last + after)
    }

    /// A run has ended.
    pub(super) fn ran(&mut self, succeeded: bool) {
        self.last = Some(Instant::now());
        self.failures = if succeeded { 0 } else { self.failures.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn runs_keep_their_distance_and_failures_are_repeated_ever_more_slowly() {
        let mut pace = Pace::new(SECOND / 2, SECOND * 3);
        let now = Instant::now();
        assert_eq!((pace.next(false), pace.next(true)), (None, Some(now)));
        pace.ran(true);
        assert_eq!((pace.next(false), pace.next(true)), (None, Some(now + SECOND / 2)));
        let waits = [(); 3].map(|()| {
            pace.ran(false);
            pace.next(false)
        });
        assert_eq!(waits, [Some(now + SECOND), Some(now + SECOND * 2), Some(now + SECOND * 3)]);
        pace.ran(true);
        assert_eq!(pace.next(false), None);
    }
}
