use std::{
    cmp::Ordering,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use orchestra_core::{ObjectKey, container_runtime::Cidr};

use super::super::{Family, Protocol};

/// One port of one Service in one family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// The Service.
    pub service: ObjectKey,
    /// The port's name; empty if it has none.
    pub port: Arc<str>,
    /// The port's protocol.
    pub protocol: Protocol,
    /// The family.
    pub family: Family,
}

/// As kube-proxy has it in logs and comments: `namespace/name:port`.
impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Where a client knocks: an address and a port, or, without an address, a port of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Front {
    /// The cluster IP, external IP or load balancer's address; `None` for a node port.
    pub address: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// Which endpoints a Service's traffic policy lets it use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Those of all nodes.
    Cluster,
    /// Those of this node.
    Local,
}

/// What becomes of traffic to a front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is refused: the Service has no endpoint on any node.
    Reject,
    /// It vanishes: the policy is `Local` and this node has no endpoint.
    Drop,
    /// It goes to an endpoint, with its source kept unless it would not find back.
    Endpoints(Policy),
    /// It comes from outside. Under `Cluster` it is masqueraded. Under `Local` it keeps its source and is dropped if this node has no
    /// endpoint, except that of pods and of the node itself, which goes to any endpoint, as if it had left the cluster and come in elsewhere.
    External(Policy),
}

/// A front of a Service's port and what becomes of its traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontRule {
    /// The front.
    pub front: Front,
    /// What becomes of its traffic.
    pub target: Target,
    /// Whether it is a load balancer's address that only [`PortRules::sources`] may use.
    pub firewalled: bool,
    /// Whether another Service's port comes before this one in claiming the same front, and has it.
    pub shadowed: bool,
}

/// All that is to be in force for one port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRules {
    /// The cluster IP, whose other ports refuse.
    pub cluster_ip: IpAddr,
    /// The fronts, cluster IP first.
    pub fronts: Vec<FrontRule>,
    /// The endpoints under the policy `Cluster`, in order; empty if no front has it.
    pub cluster: Vec<SocketAddr>,
    /// The endpoints under the policy `Local`, in order; empty if no front has it.
    pub local: Vec<SocketAddr>,
    /// How long a client stays with its endpoint after its last connection; `None` without session affinity.
    pub affinity: Option<Duration>,
    /// Who may use a front that is firewalled; none contains another.
    pub sources: Vec<Cidr>,
    /// Endpoints that may be their own client: those of this node, and those whose node nobody knows.
    pub loops: Vec<IpAddr>,
    /// Of a UDP port, the addresses that serve: a connection to another one is stale.
    pub serving: Vec<IpAddr>,
}

impl PortRules {
    /// The endpoints under `policy`.
    pub fn endpoints(&self, policy: Policy) -> &[SocketAddr] {
        match policy {
            Policy::Cluster => &self.cluster,
            Policy::Local => &self.local,
        }
    }

    /// All endpoints that can be reached from here, each once, in order.
    pub fn reachable(&self) -> Vec<SocketAddr> {
        let mut all = self.cluster.clone();
        let local = self.local.iter().filter(|endpoint| self.cluster.binary_search_by(|e| order(e, endpoint)).is_err());
        all.extend(local);
        all.sort_by(order);
        all
    }
}

/// The order of endpoints.
pub(super) fn order(a: &SocketAddr, b: &SocketAddr) -> Ordering {
    a.cmp(b)
}
