use std::{sync::Arc, time::Duration};

use axum::Router;
use orchestra_core::{
    clock::{Clock, SystemClock},
    container_runtime::ContainerRuntime,
    controller::{Controller, ControllerContext},
    random::Generator,
    scheduler::Scheduler,
    store::Store,
};
use orchestra_sched::driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver};
use orchestra_store::apiserver::{ApiServerBuilder, kinds, registry::Registry};

use super::{names::Names, nodes::NodePlans};
#[cfg(feature = "dns")]
use crate::dns::ClusterDnsBuilder;
use crate::{kubelet::KubeletBuilder, proxy::KubeProxyBuilder};

pub(super) type MakeController = Box<dyn FnOnce(&ControllerContext) -> Arc<dyn Controller> + Send>;
pub(super) type ConfigureServer = Box<dyn FnOnce(ApiServerBuilder) -> ApiServerBuilder + Send>;
pub(super) type ConfigureProxy = Box<dyn FnOnce(KubeProxyBuilder) -> KubeProxyBuilder + Send>;
pub(super) type ConfigureScheduling = Box<dyn FnOnce(SchedulerDriver) -> SchedulerDriver + Send>;
pub(super) type WrapTransport = Box<dyn FnOnce(Router) -> Router + Send>;

/// How long a cluster may take to start unless told otherwise.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What a [`Cluster`](super::Cluster) is made of; everything has a default.
pub struct ClusterBuilder {
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) generator: Generator,
    pub(super) registry: Registry,
    pub(super) configure_server: ConfigureServer,
    pub(super) wrap_transport: WrapTransport,
    /// `None` if others schedule.
    pub(super) scheduling: Option<ConfigureScheduling>,
    pub(super) controllers: Vec<MakeController>,
    pub(super) nodes: Option<NodePlans>,
    /// The node whose proxy this process runs.
    pub(super) proxy: Option<(String, ConfigureProxy)>,
    pub(super) names: Names,
    pub(super) start_timeout: Duration,
    pub(super) metrics_resolution: Option<Duration>,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            store: None,
            clock: Arc::new(SystemClock),
            generator: Generator::default(),
            registry: kinds::table(),
            configure_server: Box::new(|server| server),
            wrap_transport: Box::new(|server| server),
            scheduling: Some(Box::new(|driver| driver)),
            controllers: Vec::new(),
            nodes: None,
            proxy: None,
            names: Names::default(),
            start_timeout: START_TIMEOUT,
            metrics_resolution: None,
        }
    }
}

impl ClusterBuilder {
    /// Where the state lives; a new [`MemoryStore`](orchestra_store::MemoryStore) by default.
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
        self.nodes.get_or_insert_default().add(name, runtime, Box::new(configure));
        self
    }

    /// Adds `count` nodes, `node-1` and so on, each with a [`MemoryRuntime`](crate::container::MemoryRuntime) of its own; a second
    /// call counts on. Zero leaves a cluster without nodes.
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes.get_or_insert_default().add_numbered(count);
        self
    }

    /// Makes Services reachable on this machine: runs the [`KubeProxy`](crate::proxy::KubeProxy) of the node named, in this process' network
    /// namespace and with its rights, which have to have `CAP_NET_ADMIN`. `configure` changes it. That is for the node whose pods are on this
    /// machine; nodes in memory have no traffic.
    ///
    /// ```no_run
    /// # async fn example(runtime: std::sync::Arc<dyn orchestra_core::container_runtime::ContainerRuntime>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// use orchestra_runtime::{Cluster, kubelet::Machine};
    ///
    /// let machine = Machine::local()?;
    /// let cluster = Cluster::builder()
    ///     .node_with("n1", runtime, |kubelet| kubelet.machine(machine).root_directory("/var/lib/kubelet"))
    ///     .kube_proxy("n1", |proxy| proxy)
    ///     .start()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn kube_proxy(
        mut self,
        node: &str,
        configure: impl FnOnce(KubeProxyBuilder) -> KubeProxyBuilder + Send + 'static,
    ) -> Self {
        self.proxy = Some((node.to_owned(), Box::new(configure)));
        self
    }

    /// Answers pods' questions for names: runs a [`ClusterDns`](crate::dns::ClusterDns) that keeps the Service `kube-dns`, and has the kubelets
    /// tell pods of its address. `configure` says at least where it listens, which is where pods reach it or what it
    /// [advertises](ClusterDnsBuilder::advertise). Pods reach the Service where there is a kube-proxy.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use orchestra_runtime::Cluster;
    ///
    /// let address = "192.0.2.1:1053".parse()?;
    /// let cluster = Cluster::builder().dns(move |dns| dns.listen(address)).start().await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "dns")]
    #[must_use]
    pub fn dns(mut self, configure: impl FnOnce(ClusterDnsBuilder) -> ClusterDnsBuilder + Send + 'static) -> Self {
        self.names = Names::by(configure);
        self
    }

    /// Who chooses nodes for pods; Kubernetes' own plugins by default.
    #[must_use]
    pub fn scheduler(self, scheduler: Arc<dyn Scheduler>) -> Self {
        self.schedulers(|driver| driver.with_scheduler(DEFAULT_SCHEDULER_NAME, scheduler))
    }

    /// The same for several schedulers, by the names by which pods ask for them, and how they are run.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use orchestra_runtime::Cluster;
    /// use orchestra_sched::framework::Framework;
    ///
    /// let spread = Arc::new(Framework::builder().default_plugins().weight("PodTopologySpread", 10).build());
    /// let cluster = Cluster::builder().schedulers(|driver| driver.with_scheduler("spread", spread)).start().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn schedulers(mut self, configure: impl FnOnce(SchedulerDriver) -> SchedulerDriver + Send + 'static) -> Self {
        self.scheduling = Some(Box::new(configure));
        self
    }

    /// Has nobody schedule pods: that is done by another process, or by the test.
    #[must_use]
    pub fn without_scheduler(mut self) -> Self {
        self.scheduling = None;
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

    /// Changes the API server in what the cluster itself does not decide: who asks, and which writes are admitted.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    /// use async_trait::async_trait;
    /// use orchestra_runtime::Cluster;
    /// use orchestra_store::apiserver::{ApiError, admission::{Admission, Admitted, Operation}};
    ///
    /// struct NoSecrets;
    /// #[async_trait]
    /// impl Admission for NoSecrets {
    ///     async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
    ///         match (&*write.resource.plural, write.operation) {
    ///             ("secrets", Operation::Create) => Err(ApiError::forbidden(write.resource, write.name, "keep them elsewhere")),
    ///             _ => Ok(()),
    ///         }
    ///     }
    /// }
    ///
    /// let cluster = Cluster::builder().api_server(|server| server.admission(Arc::new(NoSecrets))).start().await?;
    /// # cluster.shut_down().await;
    /// # Ok::<(), orchestra_runtime::ClusterError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn api_server(mut self, configure: impl FnOnce(ApiServerBuilder) -> ApiServerBuilder + Send + 'static) -> Self {
        self.configure_server = Box::new(configure);
        self
    }

    /// Puts something between the API server and the clients of the cluster's own parts: controllers, scheduler, kubelets and their
    /// informers. `wrap` gets the server's router and returns the one that they talk to.
    /// [`Cluster::client`](super::Cluster::client) and HTTP do not pass through it.
    ///
    /// It is for tests of what controllers make of an unreliable API server, and for seeing what they ask of it:
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use orchestra_core::random::Generator;
    /// use orchestra_runtime::Cluster;
    /// use orchestra_store::apiserver::Faults;
    ///
    /// let faults = Faults::new(Generator::seeded(7)).failures(5).lost_answers(5).lag(Duration::from_millis(80));
    /// let cluster = Cluster::builder().seed(7).wrap_transport(move |server| faults.wrap(server)).start().await?;
    /// cluster.shut_down().await;
    /// # Ok::<(), orchestra_runtime::ClusterError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn wrap_transport(mut self, wrap: impl FnOnce(Router) -> Router + Send + 'static) -> Self {
        self.wrap_transport = Box::new(wrap);
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

    /// How often the nodes are asked what their pods use, for `kubectl top`; every 15 seconds by default.
    #[must_use]
    pub fn metrics_resolution(mut self, resolution: Duration) -> Self {
        self.metrics_resolution = Some(resolution);
        self
    }

    /// How long [`start`](Self::start) may take until the nodes are ready; a minute by default.
    #[must_use]
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }
}
