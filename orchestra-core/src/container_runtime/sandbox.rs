use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use jiff::Timestamp;

use super::{PidNamespace, SandboxSecurity};

/// A sandbox's id, chosen by the runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxId(pub Arc<str>);

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which pod a sandbox is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SandboxMetadata {
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's uid.
    pub uid: String,
    /// How many sandboxes the pod had before.
    pub attempt: u32,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the node that leads into a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// The protocol.
    pub protocol: Protocol,
    /// The port in the sandbox.
    pub container_port: u16,
    /// The port of the node.
    pub host_port: u16,
    /// The node's address; all if `None`.
    pub host_ip: Option<IpAddr>,
}

/// How names are resolved in a sandbox: what its `resolv.conf` says. The node's if all is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// The addresses of name servers.
    pub servers: Vec<String>,
    /// The domains that names are looked for in.
    pub searches: Vec<String>,
    /// Options, as `ndots:5`.
    pub options: Vec<String>,
}

/// What a sandbox is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxConfig {
    /// Which pod it is for.
    pub metadata: SandboxMetadata,
    /// The host name in it; the node's if empty.
    pub hostname: String,
    /// Whether it shares the node's network instead of having its own.
    pub host_network: bool,
    /// Whether it shares the node's System V and POSIX message queues instead of having its own.
    pub host_ipc: bool,
    /// Which processes its containers see.
    pub pid: PidNamespace,
    /// How names are resolved in it.
    pub dns: DnsConfig,
    /// The folder of the node that its containers' logs are written to; none are if it is empty.
    pub log_directory: String,
    /// The cgroup of the node that its own are made in; the runtime's choice if empty.
    pub cgroup_parent: String,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// What it may do.
    pub security: SandboxSecurity,
    /// The ports of the node that lead into it.
    pub port_mappings: Vec<PortMapping>,
    /// Labels to find it by.
    pub labels: BTreeMap<String, String>,
    /// Data that is only kept.
    pub annotations: BTreeMap<String, String>,
    /// Which of its configurations the runtime is to use (a RuntimeClass' handler); the default if empty.
    pub runtime_handler: String,
}

/// Whether a sandbox can hold running containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SandboxState {
    /// It can.
    Ready,
    /// It was stopped, or lost what it needs.
    NotReady,
}

/// A sandbox in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: SandboxId,
    /// Which pod it is for.
    pub metadata: SandboxMetadata,
    /// Its state.
    pub state: SandboxState,
    /// When it was created.
    pub created_at: Timestamp,
    /// As given at its creation.
    pub labels: BTreeMap<String, String>,
    /// As given at its creation.
    pub annotations: BTreeMap<String, String>,
}

/// A sandbox with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxStatus {
    /// What lists tell too.
    pub sandbox: Sandbox,
    /// Its addresses, the primary one first; empty if it has the node's network.
    pub ips: Vec<IpAddr>,
}

/// Which sandboxes to list: those that satisfy everything that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxFilter {
    /// Only this one.
    pub id: Option<SandboxId>,
    /// Only those in this state.
    pub state: Option<SandboxState>,
    /// Only those with all these labels.
    pub labels: BTreeMap<String, String>,
}

impl SandboxFilter {
    /// Whether `sandbox` passes.
    pub fn matches(&self, sandbox: &Sandbox) -> bool {
        self.id.as_ref().is_none_or(|id| *id == sandbox.id)
            && self.state.is_none_or(|state| state == sandbox.state)
            && self.labels.iter().all(|(name, value)| sandbox.labels.get(name) == Some(value))
    }
}
