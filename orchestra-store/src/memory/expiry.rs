use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

use super::Shared;

/// Wakes the store when its next key is due to expire. It sleeps without holding the store alive, and only while there is
/// a key with a time to live.
#[derive(Default)]
pub(super) struct Timer {
    armed: Mutex<Option<Armed>>,
}

struct Armed {
    at: Instant,
    task: JoinHandle<()>,
}

impl Timer {
    /// Makes sure that the store is looked after at `at` or before.
    pub(super) fn arm(&self, at: Instant, store: &Arc<Shared>) {
        let mut armed = self.armed.lock();
        // The task is gone where the runtime that it ran on is.
        if armed.as_ref().is_some_and(|armed| armed.at <= at && !armed.task.is_finished()) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if let Some(later) = armed.take() {
            later.task.abort();
        }
        *armed = Some(Armed { at, task: runtime.spawn(expire(at, Arc::downgrade(store))) });
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(armed) = self.armed.get_mut().take() {
            armed.task.abort();
        }
    }
}

async fn expire(mut at: Instant, store: Weak<Shared>) {
    loop {
        tokio::time::sleep_until(at).await;
        let Some(store) = store.upgrade() else { return };
        // Held until the outcome is noted, so that a commit's call of `arm` sees this task either awake for it or gone.
        let mut armed = store.timer.armed.lock();
        match (store.write(|state| state.next_expiry()), armed.as_mut()) {
            (Some(next), Some(armed)) => {
                armed.at = next;
                at = next;
            }
            _ => {
                *armed = None;
                return;
            }
        }
    }
}
