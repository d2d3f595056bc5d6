//! The kubelet: makes the pods of one node real, on any [`ContainerRuntime`].
//!
//! ```text
//!   API server ──► source (field-selected watch, or one informer for all kubelets of a process)
//!       ▲             │ news of the node's pods     static_pods ◄── folder of manifests
//!       │             ▼
//!       │   manager: one slot a pod, one queue ◄── container events ── ContainerRuntime
//!       │             │ a pod at a time, many pods at once                   ▲
//!       │             ▼                                                      │
//!       │   pod::step: what next? ──► sync: run sandbox, launch, stop ───────┘
//!       └── status, events ◄─────────────┘
//!   node: registration, heartbeat (Lease every 10 s, status every 5 min or on change)
//!     machine ──► signals ──► eviction: ends pods, and `collect`: removes images and containers, before the node runs out of something
//!   cgroup: what the kernel grants pods, and classes of them
//!   log_rotation: begins containers' logs anew before they are too large
//! ```

mod admission;
mod adopt;
mod builder;
mod cgroup;
mod container;
mod events;
mod held_pod;
mod hook;
mod huge_pages;
mod image_name;
mod keyring;
mod launch;
mod log_rotation;
mod manager;
mod node;
mod node_config;
mod objects;
mod pod;
mod probe;
mod resize;
mod runtime_class;
mod sandboxes;
mod server;
mod slot;
mod source;
mod static_pods;
mod status_patch;
mod sync;
mod sysctls;
#[cfg(feature = "tls")]
mod tls;
mod volume;

use std::{collections::HashMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::Client;
use orchestra_core::{
    clock::Clock,
    container_runtime::{ContainerRuntime, SandboxId},
    event_recorder::EventRecorder,
    informer::Informer,
    random::Generator,
    work_queue::{Backoff, WorkQueue},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::warn;

#[cfg(feature = "tls")]
pub use self::tls::{ServerTls, TlsDial, TlsError};
pub use self::{
    builder::KubeletBuilder,
    log_rotation::LogRotation,
    node::{EvictionThresholds, Machine, MachineError, NodeShutdown, ThresholdError},
    server::access::{Access, Attributes, Authorizer, SubjectAccessReviews, UserInfo},
    source::SharedPods,
};
use self::{
    cgroup::Cgroups,
    node::Pressure,
    node_config::NodeConfig,
    objects::Watched,
    probe::Prober,
    server::{Served, Server},
    source::PodSource,
};
use crate::http_server;

/// The delays between attempts to listen.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(5) };
/// How long a kubelet that stops waits for its last events to be written.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// The agent of one node.
///
/// ```no_run
/// # async fn example(client: kube::Client) {
/// use std::sync::Arc;
/// use orchestra_runtime::{container::MemoryRuntime, kubelet::Kubelet};
/// use tokio_util::sync::CancellationToken;
///
/// let kubelet = Kubelet::builder(client, "n1", Arc::new(MemoryRuntime::new())).capacity([("cpu", "8"), ("memory", "16Gi")]).build();
/// let stop = CancellationToken::new();
/// tokio::spawn(kubelet.run(stop.clone()));
/// # }
/// ```
pub struct Kubelet {
    client: Client,
    node: String,
    runtime: Arc<dyn ContainerRuntime>,
    clock: Arc<dyn Clock>,
    generator: Generator,
    source: PodSource,
    config: NodeConfig,
    served: Served,
    listen: Option<SocketAddr>,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    /// Who may use the API over the network, if not everybody.
    access: Option<Access>,
    shutdown: NodeShutdown,
}

/// What all work on a node's pods shares.
struct Context {
    client: Client,
    node: String,
    runtime: Arc<dyn ContainerRuntime>,
    /// The scheme of container ids.
    runtime_name: String,
    clock: Arc<dyn Clock>,
    recorder: EventRecorder,
    config: NodeConfig,
    /// Where the kubelet's API is served; zero if only in this process.
    port: u16,
    /// The node's pods, as the API shows them.
    pods: Arc<server::Pods>,
    /// The pods' cgroups, if they have some of their own.
    cgroups: Option<Cgroups>,
    /// What containers are told of.
    services: Informer<Service>,
    /// What pods mount.
    config_maps: Watched<ConfigMap>,
    secrets: Watched<Secret>,
    /// The pods to look at, by uid.
    queue: WorkQueue<Arc<str>>,
    /// The pod, by uid, that a sandbox is for.
    sandboxes: Mutex<HashMap<SandboxId, Arc<str>>>,
    prober: Prober,
    /// What the machine lacks.
    pressure: Pressure,
    /// Whether the machine is about to stop.
    shutdown: NodeShutdown,
    /// When this kubelet started: what was started before is another's.
    began: Timestamp,
}

impl Kubelet {
    /// A kubelet of the node `node_name` that runs its pods on `runtime`.
    pub fn builder(client: Client, node_name: &str, runtime: Arc<dyn ContainerRuntime>) -> KubeletBuilder {
        KubeletBuilder::new(client, node_name, runtime)
    }

    /// The kubelet's API (`/containerLogs`, `/exec`, `/portForward` and so on), for use in this process, by whoever has it. It knows of pods
    /// while the kubelet [runs](Self::run). [`KubeletBuilder::listen`] serves it over HTTP.
    pub fn router(&self) -> Router {
        server::router(self.server())
    }

    fn server(&self) -> Server {
        Server {
            node: self.node.clone(),
            runtime: Arc::clone(&self.runtime),
            clock: Arc::clone(&self.clock),
            machine: self.config.machine.clone(),
            served: self.served.clone(),
        }
    }

    /// Registers the node and runs its pods until `stop` is cancelled. Pods go on running then: a kubelet that starts on the
    /// same runtime takes them over.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Some(root) = self.config.root.take() {
            let Some(root) = stop.run_until_cancelled(volume::root(root)).await else { return };
            self.config.root = Some(root);
        }
        self.runtime.use_clock(Arc::clone(&self.clock));
        if let Some(cidr) = self.config.pod_cidr {
            self.runtime.use_pod_cidr(cidr);
        }
        let recorder = EventRecorder::on_node(self.client.clone(), "kubelet", &self.node, Arc::clone(&self.clock));
        let Some(version) = stop.run_until_cancelled(node::runtime_version(&*self.runtime)).await else { return };
        let cgroups = match &self.config.cgroups {
            Some(settings) => match stop.run_until_cancelled(Cgroups::begin(settings, &*self.runtime, BACKOFF)).await {
                Some(cgroups) => Some(cgroups),
                None => return,
            },
            None => None,
        };
        let Some(port) = stop.run_until_cancelled(self.serve()).await else { return };
        let (services, own) = self.source.services(&self.client);
        let queue = manager::queue();
        let wake: objects::Wake = {
            let queue = queue.clone();
            Arc::new(move |uid: &str| queue.add(uid.into()))
        };
        let context = Arc::new(Context {
            config_maps: Watched::new(self.client.clone(), Arc::clone(&wake)),
            secrets: Watched::new(self.client.clone(), wake),
            queue,
            client: self.client,
            node: self.node,
            runtime: self.runtime,
            runtime_name: version.name.clone(),
            began: self.clock.now(),
            clock: self.clock,
            recorder: recorder.clone(),
            pressure: Pressure::new(self.config.pressure_transition),
            config: self.config,
            port,
            cgroups,
            pods: Arc::clone(&self.served.pods),
            services,
            sandboxes: Mutex::default(),
            prober: Prober::new(self.generator.fork()),
            shutdown: self.shutdown,
        });
        let working = async {
            tokio::join!(
                node::keep(&context, &version, &self.generator),
                manager::run(Arc::clone(&context), self.source),
                node::collect::run(&context),
                log_rotation::run(&context),
                cgroup::keep(&context),
            );
        };
        stop.run_until_cancelled(working).await;
        self.served.end().await;
        tokio::join!(context.config_maps.shut_down(), context.secrets.shut_down());
        if let Some(informers) = own {
            informers.shut_down().await;
        }
        // What just happened is still told, if the API server answers.
        let _ = tokio::time::timeout(LAST_EVENTS, recorder.flush()).await;
    }

    /// Serves the API, if it is to be served, and returns the port, or zero.
    async fn serve(&self) -> u16 {
        let Some(address) = self.listen else { return 0 };
        let router = match &self.access {
            Some(access) => server::guarded(self.server(), access.clone()),
            None => self.router(),
        };
        let attempt = || self.serve_at(address, router.clone());
        let failed = |error: &_| warn!(%address, %error, "the kubelet's API cannot be served, trying again");
        BACKOFF.retry(attempt, failed).await.port()
    }

    async fn serve_at(&self, address: SocketAddr, router: Router) -> std::io::Result<SocketAddr> {
        let Served { tasks, stop, .. } = &self.served;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.serve(router, address, tasks, stop.clone()).await;
        }
        http_server::serve(router, address, tasks, stop.clone()).await
    }
}

impl fmt::Debug for Kubelet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubelet").field("node", &self.node).finish_non_exhaustive()
    }
}
