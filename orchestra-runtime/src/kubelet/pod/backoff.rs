use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The delays of Kubernetes' kubelet, for crashing containers as for images: 10 s, doubled up to 300 s, and forgotten
/// after 10 minutes without failure.
const BASE: Duration = Duration::from_secs(10);
const MAX: Duration = Duration::from_secs(300);
const FORGOTTEN: SignedDuration = SignedDuration::from_secs(600);

/// How long to hold off after failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) struct Backoff {
    last: Option<(Duration, Timestamp)>,
}

impl Backoff {
    /// How long to wait from `failure` on; nothing for the first.
    pub(in crate::kubelet) fn delay(&self, failure: Timestamp) -> Duration {
        match self.last {
            Some((delay, at)) if failure.duration_since(at) <= FORGOTTEN => delay,
            _ => Duration::ZERO,
        }
    }

    /// Notes another attempt at `now`: the delay after the next failure is twice as long.
    pub(in crate::kubelet) fn grow(&mut self, now: Timestamp) {
        let delay = self.delay(now);
        self.last = Some((if delay.is_zero() { BASE } else { (delay * 2).min(MAX) }, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_are_forgotten_after_ten() {
        let mut backoff = Backoff::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut delays = Vec::new();
        for _ in 0..8 {
            let delay = backoff.delay(now);
            delays.push(delay.as_secs());
            now += delay;
            backoff.grow(now);
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert!(backoff.delay(now + SignedDuration::from_secs(601)).is_zero());
    }
}
