use std::time::Duration;

use super::QueueDelays;

/// How long a pod rests after so many attempts: doubled with each, up to the longest.
pub(super) fn delay(delays: &QueueDelays, attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    delays.initial_backoff.saturating_mul(factor).min(delays.max_backoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_maximum() {
        let delay = |attempts| delay(&QueueDelays::default(), attempts).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 40].map(delay), [1, 2, 4, 8, 10, 10]);
    }
}
