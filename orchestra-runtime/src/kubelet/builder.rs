use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use kube::Client;
use orchestra_core::{
    clock::{Clock, SystemClock},
    container_runtime::{CgroupDriver, Cidr, ContainerRuntime},
    random::Generator,
};

use super::{
    Access, EvictionThresholds, Kubelet, LogRotation, Machine, NodeConfig, NodeShutdown, PodSource, Served, SharedPods,
    cgroup::unified,
    node::{resources, shutdown::ShutdownGrace},
    node_config::CgroupSettings,
};

/// What clusters are called unless told otherwise.
const POD_LOGS: &str = "/var/log/pods";

/// Sets up a [`Kubelet`]; everything has a default.
pub struct KubeletBuilder {
    kubelet: Kubelet,
    /// Resources that the node has whatever the machine says.
    given: BTreeMap<String, String>,
    address: Option<IpAddr>,
    cgroup_root: Option<String>,
    cgroup_driver: CgroupDriver,
    pod_processes: Option<u64>,
    single_process_oom_kill: bool,
}

impl KubeletBuilder {
    pub(super) fn new(client: Client, node_name: &str, runtime: Arc<dyn ContainerRuntime>) -> Self {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let labels = [
            ("beta.kubernetes.io/arch", arch),
            ("beta.kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", arch),
            ("kubernetes.io/hostname", node_name),
            ("kubernetes.io/os", "linux"),
        ];
        let owned = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let config = NodeConfig { labels: owned(&labels), ..NodeConfig::default() };
        Self {
            kubelet: Kubelet {
                source: PodSource::Watch(client.clone()),
                client,
                node: node_name.to_owned(),
                runtime,
                clock: Arc::new(SystemClock),
                generator: Generator::default(),
                config,
                served: Served::default(),
                listen: None,
                #[cfg(feature = "tls")]
                tls: None,
                access: None,
                shutdown: NodeShutdown::default(),
            },
            given: BTreeMap::new(),
            address: None,
            cgroup_root: None,
            cgroup_driver: CgroupDriver::default(),
            pod_processes: None,
            single_process_oom_kill: false,
        }
    }

    /// Takes wall time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.kubelet.clock = clock;
        self
    }

    /// Takes randomness from `generator`: what the machine's ids are made of.
    #[must_use]
    pub fn generator(mut self, generator: Generator) -> Self {
        self.kubelet.generator = generator;
        self
    }

    /// Changes what the node has: resources by name, as quantities. Those not named are the [`machine`](Self::machine)'s, or else keep
    /// their defaults (4 CPUs, 8Gi of memory, 110 pods, 100Gi of ephemeral storage).
    #[must_use]
    pub fn capacity<N: Into<String>, A: Into<String>>(mut self, amounts: impl IntoIterator<Item = (N, A)>) -> Self {
        self.given.extend(amounts.into_iter().map(|(name, amount)| (name.into(), amount.into())));
        self
    }

    /// Adds labels of the node.
    #[must_use]
    pub fn labels<N: Into<String>, V: Into<String>>(mut self, labels: impl IntoIterator<Item = (N, V)>) -> Self {
        self.kubelet.config.labels.extend(labels.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Describes the machine that the kubelet runs on: the node has its resources, its ids and its address, and tells what images there
    /// are. By default a node is simulated.
    ///
    /// ```no_run
    /// # fn example(client: kube::Client, runtime: std::sync::Arc<dyn orchestra_core::container_runtime::ContainerRuntime>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// use orchestra_runtime::kubelet::{Kubelet, Machine};
    ///
    /// let kubelet = Kubelet::builder(client, "n1", runtime).root_directory("/var/lib/kubelet").machine(Machine::local()?).build();
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn machine(mut self, machine: Machine) -> Self {
        self.kubelet.config.machine = Some(machine);
        self
    }

    /// Sets what has to be left of the machine's resources (`evictionHard`); pods do not get it.
    #[must_use]
    pub fn eviction_thresholds(mut self, thresholds: EvictionThresholds) -> Self {
        self.kubelet.config.thresholds = thresholds;
        self
    }

    /// Sets how long the node tells of a lack after it has enough again (`evictionPressureTransitionPeriod`), lest it goes back and forth;
    /// five minutes by default.
    #[must_use]
    pub fn eviction_pressure_transition(mut self, period: Duration) -> Self {
        self.kubelet.config.pressure_transition = period;
        self
    }

    /// Sets how long pods may take to end when the machine is about to stop (`shutdownGracePeriod` and
    /// `shutdownGracePeriodCriticalPods`): `total` for all, of which the pods that the cluster cannot do without have the last `critical`.
    /// By default it is 30 s and 10 s. A pod that gives itself less gets that.
    #[must_use]
    pub fn shutdown_grace(mut self, total: Duration, critical: Duration) -> Self {
        self.kubelet.config.shutdown_grace = ShutdownGrace { regular: total.saturating_sub(critical), critical };
        self
    }

    /// Hears from `shutdown` that the machine is about to stop: then the node is not ready, refuses new pods, and ends those that it has.
    /// [`Kubelet::run`] goes on until it is told to return.
    ///
    /// ```no_run
    /// # async fn example(client: kube::Client, runtime: std::sync::Arc<dyn orchestra_core::container_runtime::ContainerRuntime>) {
    /// use orchestra_runtime::kubelet::{Kubelet, NodeShutdown};
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let (shutdown, stop) = (NodeShutdown::default(), CancellationToken::new());
    /// let kubelet = Kubelet::builder(client, "n1", runtime).shutdown(shutdown.clone()).build();
    /// tokio::spawn(kubelet.run(stop.clone()));
    /// // The machine is about to stop.
    /// shutdown.begin();
    /// shutdown.ended().await;
    /// stop.cancel();
    /// # }
    /// ```
    #[must_use]
    pub fn shutdown(mut self, shutdown: NodeShutdown) -> Self {
        self.kubelet.shutdown = shutdown;
        self
    }

    /// Sets the node's address; by default it is the [`machine`](Self::machine)'s, or else the loopback one.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets the addresses of the node's pods, as `--pod-cidr` of Kubernetes' kubelet; by default the runtime has its own.
    #[must_use]
    pub fn pod_cidr(mut self, cidr: Cidr) -> Self {
        self.kubelet.config.pod_cidr = Some(cidr);
        self
    }

    /// Hears of pods from an informer that kubelets share, instead of a watch of its own.
    #[must_use]
    pub fn shared_pods(mut self, pods: SharedPods) -> Self {
        self.kubelet.source = PodSource::Shared(pods);
        self
    }

    /// Whether to record events about the node itself (`Starting`, `NodeReady`, `NodeHasDiskPressure`). They go to the namespace `default`, among the
    /// events of its pods; off by default.
    #[must_use]
    pub fn node_events(mut self, record: bool) -> Self {
        self.kubelet.config.events = record;
        self
    }

    /// Makes the node a real one, whose pods have files and mounts in the folder `path` (`--root-dir`, `/var/lib/kubelet` of Kubernetes'
    /// kubelet) and logs in `/var/log/pods`. A kubelet without sets up no volumes and mounts nothing: that is for simulated nodes.
    #[must_use]
    pub fn root_directory(mut self, path: impl Into<PathBuf>) -> Self {
        let config = &mut self.kubelet.config;
        config.root = Some(path.into());
        config.pod_logs.get_or_insert_with(|| POD_LOGS.into());
        self
    }

    /// Has the runtime write the pods' logs below the folder `path`, each pod's in `NAMESPACE_NAME_UID` (`podLogsDir`).
    #[must_use]
    pub fn pod_logs_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.kubelet.config.pod_logs = Some(path.into());
        self
    }

    /// Sets how large the pods' logs may become. By default a container has at most 5 files of about 10 MiB, as with Kubernetes' kubelet.
    #[must_use]
    pub fn log_rotation(mut self, rotation: LogRotation) -> Self {
        self.kubelet.config.log_rotation = rotation;
        self
    }

    /// Runs the pods whose manifests are in the folder `path` (`staticPodPath`), whether or not the API server answers: one Pod a file, in
    /// YAML or JSON, named `NAME-NODE` on the node. Files whose names begin with a dot are none, and a file that makes no pod is warned
    /// about. A changed file replaces its pod, a removed one ends it with its grace. In the API each has a mirror pod that shows it; to
    /// delete that does not stop the pod. A manifest may not refer to other objects of the API: ConfigMaps, Secrets, service accounts.
    ///
    /// A file that cannot be read, or that may be written only in part, is taken to say what it said before. A kubelet that starts does
    /// not know what that was: until such files are mended or gone it stops no static pod that it finds running, but it does not look
    /// after those either whose files it cannot read, and their mirrors stay as they are. (Kubernetes' kubelet takes such a file for none
    /// when it next lists the folder, and stops its pod.)
    ///
    /// ```no_run
    /// # fn example(client: kube::Client, runtime: std::sync::Arc<dyn orchestra_core::container_runtime::ContainerRuntime>) {
    /// use orchestra_runtime::kubelet::Kubelet;
    ///
    /// let kubelet = Kubelet::builder(client, "n1", runtime).static_pods("/etc/kubernetes/manifests").build();
    /// # }
    /// ```
    #[must_use]
    pub fn static_pods(mut self, path: impl Into<PathBuf>) -> Self {
        self.kubelet.config.static_pods = Some(path.into());
        self
    }

    /// Gives each pod a cgroup of its own below the cgroup `root`, as `--cgroups-per-qos` and `--cgroup-root`:
    /// `ROOT/kubepods/burstable/podUID`, or what is that for the [driver](Self::cgroup_driver) `systemd`. They are granted what the pods ask
    /// for and limited to what these may use; all pods together are limited to what the node has. The hierarchies may be of version 1 or 2.
    /// It needs root, and a runtime with the same driver. By default the runtime chooses where a pod's containers have theirs, and nothing
    /// limits a pod as a whole.
    ///
    /// The kubelet makes `root` if it is not there. Kubelets that share a machine need a root each, and who ends one for good removes its
    /// root: pods run on when a kubelet stops. Those that were begun without cgroups of their own go on so.
    ///
    /// ```no_run
    /// # fn example(client: kube::Client, runtime: std::sync::Arc<dyn orchestra_core::container_runtime::ContainerRuntime>) {
    /// use orchestra_runtime::kubelet::Kubelet;
    ///
    /// let kubelet = Kubelet::builder(client, "n1", runtime).cgroup_root("/").pod_pids_limit(1024).build();
    /// # }
    /// ```
    #[must_use]
    pub fn cgroup_root(mut self, root: &str) -> Self {
        self.cgroup_root = Some(root.to_owned());
        self
    }

    /// Sets who makes the cgroups (`cgroupDriver`): this process, which is the default, or systemd, of which the program `busctl` is needed and
    /// cgroup v2. A runtime that tells its own driver, as containerd does since 2.0, is followed instead (KEP-4033); others, as containerd with
    /// `SystemdCgroup`, must be set up the same.
    #[must_use]
    pub fn cgroup_driver(mut self, driver: CgroupDriver) -> Self {
        self.cgroup_driver = driver;
        self
    }

    /// Sets how many processes and threads a pod may have (`podPidsLimit`), if it has a [cgroup of its own](Self::cgroup_root); by default as
    /// many as the node.
    #[must_use]
    pub fn pod_pids_limit(mut self, most: u64) -> Self {
        self.pod_processes = Some(most);
        self
    }

    /// Whether a container that lacks memory loses one of its processes and not all of them (`singleProcessOOMKill`); with cgroup v2 it loses all
    /// by default, and with version 1 the kernel can kill single ones only.
    #[must_use]
    pub fn single_process_oom_kill(mut self, single: bool) -> Self {
        self.single_process_oom_kill = single;
        self
    }

    /// Lets pods set what is not safe of the kernel (`--allowed-unsafe-sysctls`): parameters of the pod's own namespaces, or what their names
    /// begin with, as `kernel.msg*`. Pods that set anything else fail with the reason `SysctlForbidden`.
    #[must_use]
    pub fn allowed_unsafe_sysctls<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.kubelet.config.unsafe_sysctls = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the addresses of the cluster's name servers (`--cluster-dns`); none by default, and pods resolve names as the node does.
    #[must_use]
    pub fn cluster_dns(mut self, servers: impl IntoIterator<Item = IpAddr>) -> Self {
        self.kubelet.config.cluster_dns = servers.into_iter().collect();
        self
    }

    /// Sets the cluster's domain (`--cluster-domain`); `cluster.local` by default.
    #[must_use]
    pub fn cluster_domain(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.kubelet.config.cluster_domain);
        self
    }

    /// Sets where the node says how it resolves names (`--resolv-conf`); `/etc/resolv.conf` by default.
    #[must_use]
    pub fn resolv_conf(mut self, path: impl Into<PathBuf>) -> Self {
        self.kubelet.config.resolv_conf = path.into();
        self
    }

    /// Serves the kubelet's API over HTTP on `address`, and tells the API server the port. Kubernetes' kubelets listen on port 10250 of all
    /// addresses. By default only this process reaches it, through [`Kubelet::router`].
    ///
    /// Unless [`access`](Self::access) says otherwise, whoever reaches the address reaches the containers; and without TLS (the feature `tls`)
    /// whoever is on the way sees what is said.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.kubelet.listen = Some(address);
        self
    }

    /// Serves the API over TLS and nothing else. API servers reach it by [`TlsDial`](super::TlsDial).
    ///
    /// If `tls` knows an authority of clients, and [`access`](Self::access) says nothing, those with its certificates may do what the API server
    /// of the builder's client grants them by SubjectAccessReviews; the group `system:masters` may do everything.
    ///
    /// ```no_run
    /// # fn example(client: kube::Client, runtime: std::sync::Arc<dyn orchestra_core::container_runtime::ContainerRuntime>, authority: &str)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// use orchestra_runtime::kubelet::{Kubelet, ServerTls};
    ///
    /// let tls = ServerTls::self_signed(["n1", "10.0.0.1"])?.client_authority(authority)?;
    /// let kubelet = Kubelet::builder(client, "n1", runtime).listen("10.0.0.1:10250".parse()?).tls(tls).build();
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: super::ServerTls) -> Self {
        if tls.knows_clients() {
            let client = self.kubelet.client.clone();
            self.kubelet.access.get_or_insert_with(|| Access::of_certificates(client));
        }
        self.kubelet.tls = Some(tls);
        self
    }

    /// Says who may use the API over the network, and for what. What has its [`router`](Kubelet::router) in this process may do everything.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.kubelet.access = Some(access);
        self
    }

    /// The kubelet, to be run.
    pub fn build(self) -> Kubelet {
        let Self { mut kubelet, given, address, cgroup_root, cgroup_driver, pod_processes, single_process_oom_kill } =
            self;
        let config = &mut kubelet.config;
        let machine = config.machine.as_ref();
        config.cgroups = cgroup_root.map(|root| CgroupSettings { root, pod_processes, driver: cgroup_driver });
        if config.is_real() {
            config.unified = unified::of_machine(single_process_oom_kill);
        }
        config.address = address.or_else(|| machine?.address()).unwrap_or(config.address);
        (config.capacity, config.allocatable) = resources(machine, config.root.as_deref(), &config.thresholds, &given);
        kubelet
    }
}

impl fmt::Debug for KubeletBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeletBuilder").field("kubelet", &self.kubelet).finish()
    }
}
