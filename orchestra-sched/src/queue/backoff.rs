use std::time::Duration;

/// kube-scheduler's `podInitialBackoffSeconds` and `podMaxBackoffSeconds`.
const INITIAL: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(10);

/// How long a pod rests after so many attempts: doubled with each, from one second to ten.
pub(super) fn delay(attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    INITIAL.saturating_mul(factor).min(MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_maximum() {
        let delays: Vec<u64> = [1, 2, 3, 4, 5, 40].into_iter().map(|attempts| delay(attempts).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
    }
}
