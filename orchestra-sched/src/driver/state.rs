use std::{collections::BTreeMap, sync::Arc};

use orchestra_core::scheduler::{Cause, ClusterEvent, Scheduler, Snapshot};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{
    bells::{Bell, Bells},
    metrics::StateMetrics,
};
use crate::{
    cache::ClusterCache,
    queue::{Next, QueueDelays, SchedulingQueue},
};

/// Queue and cache, which change together, and a bell for when they do.
#[derive(Clone)]
pub(super) struct SharedState {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changed: Notify,
    metrics: StateMetrics,
}

pub(super) struct State {
    pub(super) queue: SchedulingQueue,
    pub(super) cache: ClusterCache,
    pub(super) bells: Bells,
}

/// A bell that goes when its owner does.
pub(super) struct Wait {
    state: SharedState,
    bell: Bell,
}

impl SharedState {
    pub(super) fn new(schedulers: Arc<BTreeMap<String, Arc<dyn Scheduler>>>, delays: QueueDelays) -> Self {
        let queue = SchedulingQueue::new(schedulers, delays);
        let state = State { queue, cache: ClusterCache::default(), bells: Bells::default() };
        let (state, changed, metrics) = (Mutex::new(state), Notify::new(), StateMetrics::new());
        Self { inner: Arc::new(Inner { state, changed, metrics }) }
    }

    /// Changes the state, and has the loop look at it again.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.inner.state.lock();
        let result = change(&mut state, Instant::now());
        self.inner.metrics.observe(&state.queue, &state.cache);
        drop(state);
        self.inner.changed.notify_one();
        result
    }

    /// Looks at the state.
    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.inner.state.lock())
    }

    /// A wait for what its [`look`](Wait::look)s name.
    pub(super) fn wait(&self) -> Wait {
        let bell = self.inner.state.lock().bells.make();
        Wait { state: self.clone(), bell }
    }

    /// Waits for a pod to schedule, or pods at once, and takes them together with the cluster as it is then.
    pub(super) async fn next(&self) -> (Next, Snapshot) {
        loop {
            let deadline = {
                let state = &mut *self.inner.state.lock();
                let now = Instant::now();
                state.expire(now);
                let popped = state.queue.pop(now, state.cache.objects());
                self.inner.metrics.observe(&state.queue, &state.cache);
                if let Some(next) = popped {
                    return (next, state.cache.snapshot());
                }
                state.queue.next_deadline().into_iter().chain(state.cache.next_expiry()).min()
            };
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.inner.changed.notified() => {}
                () = due => {}
            }
        }
    }
}

impl Wait {
    /// Looks at the state; what changes of the `causes` since then, or since one of the looks before, ends the next
    /// [`changed`](Self::changed).
    pub(super) fn look<T>(
        &mut self,
        causes: impl FnOnce(&ClusterCache) -> Vec<Cause>,
        look: impl FnOnce(&ClusterCache) -> T,
    ) -> T {
        let State { cache, bells, .. } = &mut *self.state.inner.state.lock();
        for cause in causes(cache) {
            bells.hang(&mut self.bell, cause);
        }
        look(cache)
    }

    /// Waits for changes of these, too. `false` if it did so already.
    pub(super) fn hang(&mut self, causes: Vec<Cause>) -> bool {
        let bells = &mut self.state.inner.state.lock().bells;
        let mut is_new = false;
        for cause in causes {
            is_new |= bells.hang(&mut self.bell, cause);
        }
        is_new
    }

    pub(super) async fn changed(&self) {
        self.bell.rung().await;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.state.inner.state.lock().bells.take_down(&self.bell);
    }
}

impl State {
    /// Frees the room of bound pods that never appeared.
    fn expire(&mut self, now: Instant) {
        for pod in self.cache.expire(now) {
            tracing::warn!(pod = %pod.key(), "the binding of a pod was never confirmed");
            self.queue.notify(ClusterEvent::PodReleased(pod), now);
        }
    }
}
