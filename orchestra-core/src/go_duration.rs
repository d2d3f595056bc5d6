use std::time::Duration;

/// A duration as Go prints it, in whole milliseconds: `1m2.5s`, `393ms`, `0s`. Kubernetes' messages have them so.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(orchestra_core::go_duration(Duration::from_millis(62_500)), "1m2.5s");
/// ```
pub fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = (rest / 1000).to_string();
    if rest % 1000 != 0 {
        seconds.push_str(format!(".{:03}", rest % 1000).trim_end_matches('0'));
    }
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (millis, text) in [
            (0, "0s"),
            (5, "5ms"),
            (393, "393ms"),
            (1200, "1.2s"),
            (1002, "1.002s"),
            (60_000, "1m0s"),
            (62_500, "1m2.5s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
