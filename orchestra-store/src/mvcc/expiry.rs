use std::{
    future::Future,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

/// A store whose keys expire.
pub(crate) trait Expiring: Send + Sync + 'static {
    fn timer(&self) -> &Timer;

    /// When the store is next to be looked after; `None` if no key expires.
    fn next_expiry(&self) -> Option<Instant>;

    /// Deletes what is past its time to live.
    fn expire(self: Arc<Self>) -> impl Future<Output = ()> + Send;
}

/// Wakes a store when its next key is due to expire. It sleeps without holding the store alive, and only while there is a key
/// with a time to live.
#[derive(Default)]
pub(crate) struct Timer {
    armed: Mutex<Option<Armed>>,
}

struct Armed {
    at: Instant,
    task: JoinHandle<()>,
}

impl Timer {
    /// Makes sure that `store` is looked after when its next key is due, or before.
    pub(crate) fn arm(store: &Arc<impl Expiring>) {
        let Some(at) = store.next_expiry() else { return };
        let mut armed = store.timer().armed.lock();
        // The task is gone where the runtime that it ran on is.
        if armed.as_ref().is_some_and(|armed| armed.at <= at && !armed.task.is_finished()) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if let Some(later) = armed.take() {
            later.task.abort();
        }
        *armed = Some(Armed { at, task: runtime.spawn(look_after(at, Arc::downgrade(store))) });
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(armed) = self.armed.get_mut().take() {
            armed.task.abort();
        }
    }
}

async fn look_after(mut at: Instant, store: Weak<impl Expiring>) {
    loop {
        tokio::time::sleep_until(at).await;
        let Some(store) = store.upgrade() else { return };
        Arc::clone(&store).expire().await;
        // Asked under the lock, so that a commit's call of `arm` finds this task either still about to ask or gone.
        let mut armed = store.timer().armed.lock();
        match (store.next_expiry(), armed.as_mut()) {
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
