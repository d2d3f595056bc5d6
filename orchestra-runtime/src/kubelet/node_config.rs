use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use orchestra_core::container_runtime::{CgroupDriver, Cidr, DnsConfig};

use super::{
    EvictionThresholds, LogRotation, Machine,
    container::{DnsSettings, resolv_conf},
    node::shutdown::ShutdownGrace,
};

const CLUSTER_DOMAIN: &str = "cluster.local";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const PRESSURE_TRANSITION: Duration = Duration::from_secs(300);

/// Where pods have cgroups of their own, and what they are limited to beside what they say themselves.
#[derive(Clone, Debug)]
pub(super) struct CgroupSettings {
    /// The path of the cgroup that holds all of them.
    pub(super) root: String,
    /// How many processes a pod may have.
    pub(super) pod_processes: Option<u64>,
    /// Who makes them, unless the runtime says.
    pub(super) driver: CgroupDriver,
}

/// What the node is.
#[derive(Clone, Debug)]
pub(super) struct NodeConfig {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) capacity: BTreeMap<String, String>,
    /// What of the capacity pods can have.
    pub(super) allocatable: BTreeMap<String, String>,
    /// The machine that the node is; a node without is simulated.
    pub(super) machine: Option<Machine>,
    pub(super) thresholds: EvictionThresholds,
    /// How long a condition stays that tells of a lack.
    pub(super) pressure_transition: Duration,
    /// How long pods may take to end when the machine is about to stop.
    pub(super) shutdown_grace: ShutdownGrace,
    pub(super) address: IpAddr,
    pub(super) pod_cidr: Option<Cidr>,
    /// Where the manifests of static pods are.
    pub(super) static_pods: Option<PathBuf>,
    /// Whether to record events about the node.
    pub(super) events: bool,
    /// Where the pods' files are kept; a node without is simulated.
    pub(super) root: Option<PathBuf>,
    /// Where the pods' logs are kept.
    pub(super) pod_logs: Option<PathBuf>,
    pub(super) log_rotation: LogRotation,
    /// What cgroups pods have; the runtime chooses if nothing is said.
    pub(super) cgroups: Option<CgroupSettings>,
    /// What containers' cgroups are told by the names of cgroup v2's files.
    pub(super) unified: BTreeMap<String, String>,
    /// What pods may set of the kernel beside what is safe: names, or what they begin with and `*`.
    pub(super) unsafe_sysctls: Vec<String>,
    pub(super) cluster_dns: Vec<IpAddr>,
    pub(super) cluster_domain: String,
    /// Where the node says how it resolves names.
    pub(super) resolv_conf: PathBuf,
}

impl NodeConfig {
    /// Whether the node has files and mounts.
    pub(super) fn is_real(&self) -> bool {
        self.root.is_some()
    }

    /// How names are resolved, as the node's file has it now. A simulated node has no file.
    pub(super) fn dns(&self) -> std::io::Result<DnsSettings> {
        let of_node = match self.is_real() {
            true => resolv_conf(&std::fs::read_to_string(&self.resolv_conf)?),
            false => DnsConfig::default(),
        };
        let servers = self.cluster_dns.iter().map(ToString::to_string).collect();
        Ok(DnsSettings { servers, domain: self.cluster_domain.clone(), of_node })
    }

    #[cfg(test)]
    pub(super) fn example() -> Self {
        let memory = BTreeMap::from([("memory".to_owned(), "8Gi".to_owned())]);
        Self { capacity: memory.clone(), allocatable: memory, ..Self::default() }
    }
}

impl Default for NodeConfig {
    /// A simulated node that has nothing yet.
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            capacity: BTreeMap::new(),
            allocatable: BTreeMap::new(),
            machine: None,
            thresholds: EvictionThresholds::default(),
            pressure_transition: PRESSURE_TRANSITION,
            shutdown_grace: ShutdownGrace::default(),
            address: Ipv4Addr::LOCALHOST.into(),
            pod_cidr: None,
            static_pods: None,
            events: false,
            root: None,
            pod_logs: None,
            log_rotation: LogRotation::default(),
            cgroups: None,
            unified: BTreeMap::new(),
            unsafe_sysctls: Vec::new(),
            cluster_dns: Vec::new(),
            cluster_domain: CLUSTER_DOMAIN.to_owned(),
            resolv_conf: RESOLV_CONF.into(),
        }
    }
}
