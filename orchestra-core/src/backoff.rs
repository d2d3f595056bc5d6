//! Growing distances between attempts: [`Backoff`].

use std::time::Duration;

use tokio::time::sleep;

/// Delays of what fails: `base` doubled with each failure in a row, up to `max`.
///
/// client-go's default also has a token bucket for the whole queue (10 a second). It protects a remote API server from all
/// controllers together; here the server's own limits do that, and one item's backoff does not slow down another.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The delay after the first failure.
    pub base: Duration,
    /// The longest delay.
    pub max: Duration,
}

impl Default for Backoff {
    /// 5 ms to 1000 s, as client-go's.
    fn default() -> Self {
        Self { base: Duration::from_millis(5), max: Duration::from_secs(1000) }
    }
}

impl Backoff {
    /// The delay after `failures` earlier failures in a row.
    pub fn delay(&self, failures: u32) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(failures.min(31))).min(self.max)
    }

    /// Does `attempt` until it succeeds, and waits after each failure, of which `failed` is told.
    pub async fn retry<T, E, F>(&self, mut attempt: impl FnMut() -> F, mut failed: impl FnMut(&E)) -> T
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut failures = 0_u32;
        loop {
            match attempt().await {
                Ok(done) => return done,
                Err(error) => failed(&error),
            }
            sleep(self.delay(failures)).await;
            failures = failures.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_go_on_at_growing_distances_until_one_succeeds() {
        let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(4) };
        let (began, mut attempts, mut told) = (Instant::now(), 0, Vec::new());
        let attempt = || {
            attempts += 1;
            std::future::ready(if attempts < 6 { Err(attempts) } else { Ok("done") })
        };
        assert_eq!(backoff.retry(attempt, |failure| told.push(*failure)).await, "done");
        assert_eq!((told, began.elapsed()), (vec![1, 2, 3, 4, 5], Duration::from_secs(1 + 2 + 4 + 4 + 4)));
    }
}
