//! The one task that lets time act on a runtime's containers. It lives while there is something to wait for.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use tokio::{sync::Notify, time::Instant};

use super::Shared;

#[derive(Default)]
pub(super) struct Timer {
    /// Changed only while the state is locked.
    running: AtomicBool,
    changed: Arc<Notify>,
}

impl Timer {
    /// Sees to it that something just scheduled happens. To be called after the lock of the state is released.
    pub(super) fn wake(shared: &Arc<Shared>) {
        let state = shared.state.lock();
        if state.next_due().is_none() {
            return;
        }
        if shared.timer.running.swap(true, Ordering::Relaxed) {
            shared.timer.changed.notify_one();
        } else {
            tokio::spawn(run(Arc::downgrade(shared), Arc::clone(&shared.timer.changed)));
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

async fn run(shared: Weak<Shared>, changed: Arc<Notify>) {
    loop {
        let Some(due) = shared.upgrade().and_then(|shared| step(&shared)) else { return };
        let _ = tokio::time::timeout_at(due, changed.notified()).await;
    }
}

/// Does what is due and says when to come again; `None` if there is nothing more to wait for.
fn step(shared: &Shared) -> Option<Instant> {
    let now = shared.clock.lock().now();
    let mut state = shared.state.lock();
    let ended = state.run_due(now, Instant::now());
    let due = state.next_due();
    if due.is_none() {
        shared.timer.running.store(false, Ordering::Relaxed);
    }
    drop(state);
    if ended {
        shared.ended.notify_waiters();
    }
    due
}
