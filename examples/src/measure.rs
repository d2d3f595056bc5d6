//! Figures as the benchmarks print them.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use futures::future::try_join_all;

/// How many tasks call at once in [`concurrently`].
const CALLERS: usize = 64;

/// Runs `call` for each number below `count`, from 64 tasks, and tells how long all took.
pub async fn concurrently<F>(
    count: usize,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Result<Duration, Box<dyn Error + Send + Sync>>
where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send,
{
    let begun = Instant::now();
    let tasks = (0..CALLERS).map(|caller| {
        let call = call.clone();
        tokio::spawn(async move {
            for i in (caller..count).step_by(CALLERS) {
                call(i).await?;
            }
            Ok::<(), Box<dyn Error + Send + Sync>>(())
        })
    });
    for done in try_join_all(tasks).await? {
        done?;
    }
    Ok(begun.elapsed())
}

/// A rate, such as `12,345/s`.
pub fn per_second(count: usize, took: Duration) -> String {
    let rate = (count as f64 / took.as_secs_f64()).round() as u64;
    let digits = rate.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("{}/s", groups.join(","))
}

/// A time, such as `1.25 ms`.
pub fn millis(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

/// Resident memory in MB; zero where the system does not tell.
pub fn resident() -> f64 {
    resident_of("self").unwrap_or_default()
}

/// Resident memory of a process, by its id, in MB.
pub fn resident_of(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = resident.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}
