//! Runs controllers: queues, workers, retries, leader election, stopping.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{FutureExt, future::join_all};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::{
    ObjectKey,
    controller::{Action, Controller, Started},
    informer::Subscription,
    leader_election::LeaderElector,
    work_queue::{Claim, WorkQueue},
};

/// Runs a set of controllers until it is told to stop.
///
/// Each controller has a queue of its own that its [`watches`](Controller::watches) fill, and as many workers as it asks for.
/// A reconcile that fails or panics is tried again with backoff; one key is never reconciled twice at the same time.
///
/// ```no_run
/// # async fn example(controller: impl orchestra_core::controller::Controller) {
/// use orchestra_core::manager::ControllerManager;
/// use tokio_util::sync::CancellationToken;
///
/// let stop = CancellationToken::new();
/// ControllerManager::new().with(controller).run(stop).await;
/// # }
/// ```
#[derive(Default)]
pub struct ControllerManager {
    running: Vec<Running>,
    elector: Option<LeaderElector>,
}

#[derive(Clone)]
struct Running {
    controller: Arc<dyn Controller>,
    queue: WorkQueue<ObjectKey>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// How a controller has fared so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerMetrics {
    /// The controller's name.
    pub controller: String,
    /// Reconciles that succeeded.
    pub succeeded: u64,
    /// Reconciles that failed or panicked.
    pub failed: u64,
    /// Keys that wait to be reconciled.
    pub queued: usize,
}

/// Reads the metrics of a manager's controllers, also while it runs.
#[derive(Clone, Default)]
pub struct MetricsReader {
    running: Vec<Running>,
}

impl MetricsReader {
    /// The metrics of each controller, in the order they were added.
    pub fn read(&self) -> Vec<ControllerMetrics> {
        self.running
            .iter()
            .map(|running| ControllerMetrics {
                controller: running.controller.name().to_owned(),
                succeeded: running.counters.succeeded.load(Ordering::Relaxed),
                failed: running.counters.failed.load(Ordering::Relaxed),
                queued: running.queue.len(),
            })
            .collect()
    }
}

impl ControllerManager {
    /// A manager without controllers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a controller.
    #[must_use]
    pub fn with(self, controller: impl Controller) -> Self {
        self.with_arc(Arc::new(controller))
    }

    /// Adds a controller that is shared already.
    #[must_use]
    pub fn with_arc(mut self, controller: Arc<dyn Controller>) -> Self {
        self.running.push(Running { controller, queue: WorkQueue::default(), counters: Arc::default() });
        self
    }

    /// Works only while `elector` holds its lease.
    #[must_use]
    pub fn with_leader_election(mut self, elector: LeaderElector) -> Self {
        self.elector = Some(elector);
        self
    }

    /// A reader of the controllers' metrics.
    pub fn metrics(&self) -> MetricsReader {
        MetricsReader { running: self.running.clone() }
    }

    /// Runs until `stop` is cancelled; reconciles in progress are finished first. With leader election it also returns when
    /// the lease is lost: what was in progress can no longer be trusted, so the process should start anew.
    pub async fn run(self, stop: CancellationToken) {
        let Self { running, elector } = self;
        match elector {
            None => run_all(running, stop).await,
            Some(elector) => {
                if let Err(lost) = elector.run(stop, |leading| run_all(running, leading)).await {
                    error!(%lost, "controllers stopped");
                }
            }
        }
    }
}

async fn run_all(controllers: Vec<Running>, stop: CancellationToken) {
    let mut subscriptions: Vec<Subscription> = Vec::new();
    let mut synced = Vec::new();
    let mut tasks = JoinSet::new();
    for running in &controllers {
        for watch in running.controller.watches() {
            match watch.start(running.queue.clone(), stop.clone()) {
                Started::Informer(subscription, done) => {
                    subscriptions.push(subscription);
                    synced.push(done);
                }
                Started::Source(source) => drop(tasks.spawn(source)),
            }
        }
    }
    if stop.run_until_cancelled(join_all(synced)).await.is_some() {
        for running in &controllers {
            for _ in 0..running.controller.workers().max(1) {
                tasks.spawn(running.clone().work(stop.clone()));
            }
        }
        stop.cancelled().await;
    }
    for running in &controllers {
        running.queue.shut_down();
    }
    while tasks.join_next().await.is_some() {}
}

impl Running {
    async fn work(self, stop: CancellationToken) {
        while let Some(Some(claim)) = stop.run_until_cancelled(self.queue.next()).await {
            self.reconcile(claim).await;
        }
    }

    async fn reconcile(&self, key: Claim<ObjectKey>) {
        let controller = self.controller.name();
        let result = AssertUnwindSafe(self.controller.reconcile(&key)).catch_unwind().await;
        match result {
            Ok(Ok(action)) => {
                self.counters.succeeded.fetch_add(1, Ordering::Relaxed);
                self.queue.forget(&key);
                if let Action::RequeueAfter(delay) = action {
                    self.queue.add_after(key.clone(), delay);
                }
                return;
            }
            // Conflicts are how optimistic writes find out that they were late: expected, and healed by trying again.
            Ok(Err(error)) => match error.downcast_ref::<kube::Error>() {
                Some(kube::Error::Api(status)) if status.code == 409 => {
                    debug!(controller, key = %*key, %error, "reconcile was late, trying again");
                }
                _ => warn!(controller, key = %*key, %error, "reconcile failed, trying again"),
            },
            Err(_) => error!(controller, key = %*key, "reconcile panicked, trying again"),
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.queue.retry(key.clone());
    }
}
