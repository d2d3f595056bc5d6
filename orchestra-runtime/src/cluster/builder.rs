use std::sync::Arc;

use orchestra_core::{
    clock::{Clock, SystemClock},
    container_runtime::ContainerRuntime,
    controller::{Controller, ControllerContext},
    event_recorder::EventRecorder,
    informer::InformerFactory,
    manager::ControllerManager,
    random::Generator,
    scheduler::Scheduler,
    store::Store,
};
use orchestra_sched::{
    driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver},
    framework::Framework,
};
use orchestra_store::{
    MemoryStore,
    apiserver::{ApiServer, StartError, kinds, registry::Registry},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Cluster;
use crate::{
    container::memory::MemoryRuntime,
    controllers,
    kubelet::{Kubelet, KubeletBuilder, SharedPods},
};

type MakeController = Box<dyn FnOnce(&ControllerContext) -> Arc<dyn Controller> + Send>;
type Configure = Box<dyn FnOnce(KubeletBuilder) -> KubeletBuilder + Send>;

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server did not.
    #[error(transparent)]
    ApiServer(#[from] StartError),
    /// Two nodes have one name.
    #[error("node {0:?} is named twice")]
    NodeNamedTwice(String),
}

struct NodePlan {
    name: String,
    runtime: Option<Arc<dyn ContainerRuntime>>,
    configure: Configure,
}

/// What a [`Cluster`] is made of; everything has a default.
pub struct ClusterBuilder {
    store: Option<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    generator: Generator,
    registry: Registry,
    scheduler: Option<Arc<dyn Scheduler>>,
    controllers: Vec<MakeController>,
    nodes: Option<Vec<NodePlan>>,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            store: None,
            clock: Arc::new(SystemClock),
            generator: Generator::default(),
            registry: kinds::table(),
            scheduler: None,
            controllers: Vec::new(),
            nodes: None,
        }
    }
}

impl ClusterBuilder {
    /// Where the state lives; a new [`MemoryStore`] by default.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Adds a node whose containers `runtime` runs. Without this and [`nodes`](Self::nodes) there is one node, `node-1`.
    #[must_use]
    pub fn node(self, name: &str, runtime: Arc<dyn ContainerRuntime>) -> Self {
        self.node_with(name, runtime, |kubelet| kubelet)
    }

    /// As [`node`](Self::node), with a kubelet that `configure` changes: its capacity, its labels.
    #[must_use]
    pub fn node_with(
        mut self,
        name: &str,
        runtime: Arc<dyn ContainerRuntime>,
        configure: impl FnOnce(KubeletBuilder) -> KubeletBuilder + Send + 'static,
    ) -> Self {
        let plan = NodePlan { name: name.to_owned(), runtime: Some(runtime), configure: Box::new(configure) };
        self.nodes.get_or_insert_default().push(plan);
        self
    }

    /// Adds `count` nodes, `node-1` and so on, each with a [`MemoryRuntime`] of its own. Zero leaves a cluster without nodes.
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        let plan = |i| NodePlan { name: format!("node-{i}"), runtime: None, configure: Box::new(|kubelet| kubelet) };
        self.nodes.get_or_insert_default().extend((1..=count).map(plan));
        self
    }

    /// Who chooses nodes for pods; Kubernetes' own plugins by default.
    #[must_use]
    pub fn scheduler(mut self, scheduler: Arc<dyn Scheduler>) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    /// Adds a controller to Kubernetes' own.
    #[must_use]
    pub fn controller(mut self, make: impl FnOnce(&ControllerContext) -> Arc<dyn Controller> + Send + 'static) -> Self {
        self.controllers.push(Box::new(make));
        self
    }

    /// The kinds that the API server serves; Kubernetes' own by default.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// The time that objects are stamped with; the system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes all that is random (uids, names, ties) follow from one number.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.generator = Generator::seeded(seed);
        self
    }

    /// Starts all parts on the current tokio runtime, and waits until the nodes are ready.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let Self { store, clock, generator, registry, scheduler, controllers, nodes } = self;
        let plans = nodes.unwrap_or_else(|| Self::default().nodes(1).nodes.unwrap_or_default());
        let names: Vec<String> = plans.iter().map(|plan| plan.name.clone()).collect();
        if let Some(repeated) = (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
            return Err(ClusterError::NodeNamedTwice(names[repeated].clone()));
        }
        let store = store.unwrap_or_else(|| Arc::new(MemoryStore::default()));
        // Each part has a generator of its own, forked in this order, so that one seed gives one course of events.
        let server = ApiServer::builder(store)
            .clock(Arc::clone(&clock))
            .generator(generator.fork())
            .registry(registry)
            .start()
            .await?;
        let client = server.client("default");
        let informers = InformerFactory::new(client.clone());
        let context = ControllerContext { client, informers, clock, generator: generator.fork() };
        let cluster = Cluster {
            server,
            context,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            hang_up: CancellationToken::new(),
        };
        cluster.start_controllers(controllers);
        cluster.start_scheduler(scheduler, generator.fork());
        cluster.start_kubelets(plans, &generator);
        cluster.ready(&names).await;
        Ok(cluster)
    }
}

impl Cluster {
    fn start_controllers(&self, extra: Vec<MakeController>) {
        let own = controllers::all(&self.context);
        let extra: Vec<_> = extra.into_iter().map(|make| make(&self.context)).collect();
        let manager = own.into_iter().chain(extra).fold(ControllerManager::new(), ControllerManager::with_arc);
        self.tasks.spawn(manager.run(self.stop.clone()));
    }

    fn start_scheduler(&self, scheduler: Option<Arc<dyn Scheduler>>, generator: Generator) {
        let ControllerContext { client, informers, clock, .. } = self.context.clone();
        let scheduler = scheduler.unwrap_or_else(|| Arc::new(Framework::kubernetes()));
        let instance = format!("{DEFAULT_SCHEDULER_NAME}-orchestra");
        let recorder = EventRecorder::reporting(client.clone(), DEFAULT_SCHEDULER_NAME, &instance, Arc::clone(&clock));
        let driver = SchedulerDriver::new(client, informers, scheduler, recorder, clock, generator);
        self.tasks.spawn(driver.run(self.stop.clone()));
    }

    fn start_kubelets(&self, plans: Vec<NodePlan>, generator: &Generator) {
        let pods = SharedPods::new(&self.context.informers);
        for (index, plan) in plans.into_iter().enumerate() {
            let clock = &self.context.clock;
            let memory = || -> Arc<dyn ContainerRuntime> {
                let index = u16::try_from(index).unwrap_or(u16::MAX);
                Arc::new(MemoryRuntime::new().clock(Arc::clone(clock)).index(index))
            };
            let runtime = plan.runtime.unwrap_or_else(memory);
            let kubelet = Kubelet::builder(self.context.client.clone(), &plan.name, runtime)
                .clock(Arc::clone(clock))
                .generator(generator.fork())
                .shared_pods(pods.clone());
            self.tasks.spawn((plan.configure)(kubelet).build().run(self.stop.clone()));
        }
    }
}
