use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// How others ask a tail of less than everything how far it is.
#[derive(Default)]
pub(super) struct Progress {
    asked: Notify,
    /// Whether etcd, asked by the tail, tells the truth.
    is_told: AtomicBool,
}

impl Progress {
    /// Has the tail ask etcd; the answer is news. `false` if that is of no use.
    pub(super) fn ask(&self) -> bool {
        let is_told = self.is_told.load(Ordering::Relaxed);
        if is_told {
            self.asked.notify_one();
        }
        is_told
    }

    /// Waits until somebody asks.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Notes the version of the etcd that will be asked.
    pub(super) fn told_by(&self, version: Option<&str>) {
        self.is_told.store(version.is_some_and(progress_is_true), Ordering::Relaxed);
    }
}

/// Whether etcd of this version, asked for a watch's progress, never tells it before the events (its issue 15220).
fn progress_is_true(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (3, 5, 8) || ((3, 4, 25)..(3, 5, 0)).contains(&version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_asked_for_only_where_the_answer_is_right() {
        for version in ["3.4.25", "3.4.30", "3.5.8", "3.5.21", "3.6.0", "3.6.0-rc.1", "4.0.0"] {
            assert!(progress_is_true(version), "{version}");
        }
        for version in ["3.3.27", "3.4.23", "3.5.0", "3.5.7", "", "unknown"] {
            assert!(!progress_is_true(version), "{version}");
        }
    }
}
