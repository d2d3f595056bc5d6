use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Sets smaller than this are never slowed down.
const LARGE: usize = 500;
/// The rest that each pod of a large set costs between two reconciles.
const REST_PER_POD: Duration = Duration::from_micros(20);

/// Keeps large replica sets from being counted anew with each change of one of their pods.
///
/// A reconcile looks at all pods of a set, so one for each of `n` pods that become ready would cost `n²`. While nothing is to be created or
/// deleted, only the status depends on it, and that may come a moment (100 ms for 5,000 pods) later.
#[derive(Clone, Default)]
pub(super) struct Pace {
    last: Arc<Mutex<BTreeMap<String, Last>>>,
}

struct Last {
    at: Instant,
    generation: Option<i64>,
    pods: usize,
    complete: bool,
}

impl Pace {
    /// How long to wait before the set is worth another look.
    pub(super) fn wait(&self, uid: &str, generation: Option<i64>) -> Option<Duration> {
        let last = self.last.lock();
        let last = last.get(uid)?;
        let has_work = last.generation != generation || !last.complete;
        if last.pods < LARGE || has_work {
            return None;
        }
        let rest = REST_PER_POD.saturating_mul(u32::try_from(last.pods).unwrap_or(u32::MAX));
        rest.checked_sub(last.at.elapsed()).filter(|rest| !rest.is_zero())
    }

    /// The set was looked at; `complete` says whether it had as many pods as it asks for.
    pub(super) fn worked(&self, uid: &str, generation: Option<i64>, pods: usize, complete: bool) {
        self.last.lock().insert(uid.to_owned(), Last { at: Instant::now(), generation, pods, complete });
    }

    /// The set is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.last.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_large_complete_set_rests_and_one_with_work_does_not() {
        let pace = Pace::default();
        assert_eq!(pace.wait("rs", Some(1)), None);
        pace.worked("rs", Some(1), 5000, true);
        assert_eq!(pace.wait("rs", Some(1)), Some(Duration::from_millis(100)));
        assert_eq!(pace.wait("rs", Some(2)), None);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(pace.wait("rs", Some(1)), None);

        pace.worked("rs", Some(1), 5000, false);
        assert_eq!(pace.wait("rs", Some(1)), None);
        pace.worked("rs", Some(1), 10, true);
        assert_eq!(pace.wait("rs", Some(1)), None);
    }
}
