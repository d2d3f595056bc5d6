//! The loop around a [`Scheduler`]: from pods that wait to pods that are bound.
//!
//! ```text
//!   feed (informers) ─► State { queue, cache } ─► attempt: pop, snapshot, schedule ─┬─► assume ─► permit ─► pre-bind ─► bind ─► done
//!                            ▲                                                      └─► report why not
//!                            └────────── a failed binding is forgotten, the pod tried again ──┘
//! ```
//!
//! Pods that have to have nodes at once come out of the queue together, are decided about on one snapshot, and bound together.

mod attempt;
mod bells;
mod bind;
mod context;
mod deallocate;
mod feed;
mod gang;
mod metrics;
mod pod_group;
mod preempt;
mod report;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use orchestra_core::{
    clock::Clock,
    event_recorder::EventRecorder,
    informer::{Informer, InformerFactory},
    random::Generator,
    scheduler::{ObjectKind, ObjectWatch, PodInfo, Scheduler, WaitingPods},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

#[cfg(feature = "testing")]
pub(crate) use self::attempt::schedule;
use self::{metrics::AttemptMetrics, state::SharedState};
use crate::{
    config::{ConfigError, KubeSchedulerConfiguration, Registry},
    framework::Framework,
    plugins::{DynamicResources, VolumeBinding},
    queue::QueueDelays,
};

pub use orchestra_core::scheduler::DEFAULT_SCHEDULER_NAME;

/// How many bindings and reports may be under way at once.
const CONCURRENT_WRITES: usize = 128;
/// How long lists may take before that is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long bindings under way may take when the driver is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Runs schedulers: finds pods that wait, has nodes chosen, and binds them.
///
/// Pods that ask for a scheduler by another name are not touched. A scheduler that panics costs that attempt only.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use orchestra_core::{clock::SystemClock, event_recorder::EventRecorder, informer::InformerFactory, random::Generator};
/// use orchestra_sched::{driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver}, framework::Framework};
/// # async fn example(client: kube::Client, stop: tokio_util::sync::CancellationToken) {
/// let (informers, clock) = (InformerFactory::new(client.clone()), Arc::new(SystemClock));
/// let recorder = EventRecorder::reporting(client.clone(), DEFAULT_SCHEDULER_NAME, "default-scheduler-vm", clock.clone());
/// let scheduler = Arc::new(Framework::kubernetes());
/// SchedulerDriver::new(client, informers, scheduler, recorder, clock, Generator::default()).run(stop).await;
/// # }
/// ```
pub struct SchedulerDriver {
    client: Client,
    informers: InformerFactory,
    schedulers: BTreeMap<String, Arc<dyn Scheduler>>,
    recorder: EventRecorder,
    clock: Arc<dyn Clock>,
    generator: Generator,
    assumed_pod_expiry: Option<Duration>,
    delays: QueueDelays,
    grace: Duration,
}

impl SchedulerDriver {
    /// A driver of one scheduler, for the pods that ask for [`DEFAULT_SCHEDULER_NAME`] or for none. `recorder` should be one of
    /// [`EventRecorder::reporting`]; `generator` gives the seeds of decisions.
    pub fn new(
        client: Client,
        informers: InformerFactory,
        scheduler: Arc<dyn Scheduler>,
        recorder: EventRecorder,
        clock: Arc<dyn Clock>,
        generator: Generator,
    ) -> Self {
        let schedulers = BTreeMap::from([(DEFAULT_SCHEDULER_NAME.to_owned(), scheduler)]);
        let delays = QueueDelays::default();
        Self {
            client,
            informers,
            schedulers,
            recorder,
            clock,
            generator,
            assumed_pod_expiry: None,
            delays,
            grace: GRACE,
        }
    }

    /// Has `scheduler` serve the pods whose `schedulerName` is `name`, besides or instead of the others.
    #[must_use]
    pub fn with_scheduler(mut self, name: impl Into<String>, scheduler: Arc<dyn Scheduler>) -> Self {
        self.schedulers.insert(name.into(), scheduler);
        self
    }

    /// Has the schedulers of `config` serve the pods that ask for them, in the place of all others, and takes its delays.
    pub fn with_configuration(
        mut self,
        config: &KubeSchedulerConfiguration,
        registry: &Registry,
    ) -> Result<Self, ConfigError> {
        self.schedulers.clear();
        for (name, profile) in config.profiles(registry)? {
            self = self.with_scheduler(name, profile);
        }
        Ok(self.with_delays(config.delays()))
    }

    /// Gives up on bound pods that the API server does not tell of after so long. By default, as in Kubernetes, never: the
    /// watch tells eventually, and until then the room is taken.
    #[must_use]
    pub fn with_assumed_pod_expiry(mut self, expiry: Duration) -> Self {
        self.assumed_pod_expiry = Some(expiry);
        self
    }

    /// How long pods rest between attempts.
    #[must_use]
    pub fn with_delays(mut self, delays: QueueDelays) -> Self {
        self.delays = delays;
        self
    }

    /// How long bindings under way may take when the driver is told to stop; 5 s by default. Where another scheduler may take over, it should
    /// be less than the time until it does.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Schedules pods until `stop` is cancelled, then lets the bindings under way end.
    pub async fn run(self, stop: CancellationToken) {
        let (nodes, pods) = (self.informers.informer::<Node>(), self.informers.informer::<PodInfo>());
        let (schedulers, grace) = (Arc::new(self.schedulers), self.grace);
        let metrics = AttemptMetrics::new(schedulers.keys());
        let state = SharedState::new(schedulers.clone(), self.delays);
        let uses: BTreeSet<ObjectKind> = schedulers.values().flat_map(|scheduler| scheduler.uses()).collect();
        let mut watches: Vec<_> = uses.iter().map(|kind| feed::watch(*kind, &self.informers, &state)).collect();
        let subscriptions = feed::subscribe(&nodes, &pods, &state);
        let tasks = TaskTracker::new();
        let abandon = CancellationToken::new();
        let shared = Arc::new(Shared {
            client: self.client,
            pods: pods.clone(),
            uses,
            schedulers,
            state,
            only_binds: only_binds(),
            waiting: WaitingPods::default(),
            recorder: self.recorder,
            clock: self.clock,
            assumed_pod_expiry: self.assumed_pod_expiry,
            metrics,
            writes: Arc::new(Semaphore::new(CONCURRENT_WRITES)),
            tasks: tasks.clone(),
            abandon: abandon.clone(),
        });
        let synced = async {
            nodes.synced().await;
            pods.synced().await;
            all_listed(&mut watches).await;
        };
        if stop.run_until_cancelled(synced).await.is_some() {
            stop.run_until_cancelled(shared.schedule_all(self.generator.fork())).await;
        }
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            abandon.cancel();
            tasks.wait().await;
        }
        // Not before: those under way wait for news.
        drop((subscriptions, watches));
    }
}

/// What every decision needs to come true: what it says of volumes and devices is written, and the pod bound.
fn only_binds() -> Framework {
    Framework::builder().plugin(VolumeBinding::default()).plugin(DynamicResources::default()).build()
}

/// Waits for the first lists, and complains when they do not come: until then no pod is scheduled.
async fn all_listed(watches: &mut [ObjectWatch]) {
    for watch in watches {
        while timeout(PATIENCE, watch.listed()).await.is_err() {
            warn!(kind = ?watch.kind(), "no pod is scheduled until objects of this kind are listed");
        }
    }
}

impl fmt::Debug for SchedulerDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.schedulers.keys().collect();
        f.debug_struct("SchedulerDriver").field("schedulers", &names).finish_non_exhaustive()
    }
}

/// What attempts and the tasks that they start work with.
struct Shared {
    client: Client,
    pods: Informer<PodInfo>,
    /// What is watched beside nodes and pods.
    uses: BTreeSet<ObjectKind>,
    schedulers: Arc<BTreeMap<String, Arc<dyn Scheduler>>>,
    state: SharedState,
    /// What is done with the pods of schedulers that say nothing about it.
    only_binds: Framework,
    /// Those that wait for permissions.
    waiting: WaitingPods,
    recorder: EventRecorder,
    clock: Arc<dyn Clock>,
    assumed_pod_expiry: Option<Duration>,
    metrics: AttemptMetrics,
    writes: Arc<Semaphore>,
    tasks: TaskTracker,
    abandon: CancellationToken,
}

impl Shared {
    /// Runs `work` in the background, however many others do: it waits more than it writes, and does that in [`writing`](Self::writing).
    fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let abandon = self.abandon.clone();
        self.tasks.spawn(async move {
            abandon.run_until_cancelled(work).await;
        });
    }

    /// Awaits `write`, after waiting for one of those under way if they are many. Not to be called by what runs
    /// [`in_background`](Self::in_background), which counts already.
    async fn writing<T>(&self, write: impl Future<Output = T>) -> T {
        let _permit = self.writes.acquire().await;
        write.await
    }

    /// Runs `write` in the background, after waiting for one of those under way if they are many.
    async fn in_background(&self, write: impl Future<Output = ()> + Send + 'static) {
        // The semaphore is never closed, so an error cannot come.
        let Ok(permit) = self.writes.clone().acquire_owned().await else { return };
        let abandon = self.abandon.clone();
        self.tasks.spawn(async move {
            abandon.run_until_cancelled(write).await;
            drop(permit);
        });
    }
}
