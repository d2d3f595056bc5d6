//! CPU time, as `proc/stat` has it (proc_stat(5)).

use super::{MachineError, files::Files};

const STAT: &str = "proc/stat";
/// What the kernel counts in, whatever it measures in: a hundredth of a second (`USER_HZ`).
const NANOS_A_TICK: u64 = 10_000_000;
/// user, nice, system, irq, softirq and steal, as the kernel adds them up for the root of all cgroups: neither idle nor iowait, and guests are in user.
const USED: [usize; 6] = [0, 1, 2, 5, 6, 7];

/// Nanoseconds that were used since the machine started.
pub(super) fn used(files: &Files) -> Result<u64, MachineError> {
    of(&files.text(STAT)?).ok_or_else(|| files.malformed(STAT))
}

fn of(stat: &str) -> Option<u64> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = all.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    // Older kernels tell of fewer, at the end.
    let used = USED.iter().filter_map(|column| ticks.get(*column)).fold(0_u64, |sum, ticks| sum.saturating_add(*ticks));
    (ticks.len() >= 4).then(|| used.saturating_mul(NANOS_A_TICK))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn what_is_idle_or_counted_twice_is_not_used() {
        let stat = "cpu  1 20 300 4000 50000 600000 7000000 80000000 900000000 1000000000\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(of(stat), Some(87_600_321 * 10_000_000));
        assert_eq!(of("cpu  1 2 3 4\n"), Some(60_000_000));
        assert_eq!((of("cpu  1 2 3\n"), of("cpu0 1 2 3 4\n"), of("cpu  1 2 3 x\n")), (None, None, None));
    }
}
