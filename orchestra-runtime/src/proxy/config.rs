use orchestra_core::container_runtime::Cidr;

/// What an administrator says of a proxy; the defaults are those of Kubernetes' kube-proxy in its nftables mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Whether all traffic to cluster IPs gets the node's address as its source (`--masquerade-all`).
    pub masquerade_all: bool,
    /// The bit of the packet mark that says "masquerade me", 0 to 31 (`--iptables-masquerade-bit`; 14).
    pub masquerade_bit: u8,
    /// How traffic of the cluster's pods is told from other traffic (`--detect-local-mode`).
    pub local_traffic: LocalTraffic,
    /// Where node ports answer (`--nodeport-addresses`).
    pub node_port_addresses: NodePortAddresses,
    /// The ranges that cluster IPs are from: traffic to those that no Service has is dropped. May be empty.
    pub service_cidrs: Vec<Cidr>,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            masquerade_all: false,
            masquerade_bit: 14,
            local_traffic: LocalTraffic::default(),
            node_port_addresses: NodePortAddresses::default(),
            service_cidrs: Vec::new(),
        }
    }
}

impl ProxyConfig {
    /// The mark's bit as a number; a bit that a mark does not have counts as the default one.
    pub(super) fn mark(&self) -> u32 {
        1_u32.checked_shl(self.masquerade_bit.into()).unwrap_or(1 << 14)
    }
}

/// How a packet is known to come from a pod of the cluster. Traffic to a cluster IP from elsewhere is masqueraded, as its answer has
/// to come back through this node; traffic of pods to an external address is spared the policy `Local`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalTraffic {
    /// It is not: nothing is masqueraded for it and nobody is spared.
    #[default]
    Unknown,
    /// By its source, which is in one of these ranges (`ClusterCIDR` and `NodeCIDR`). A family without a range is unknown.
    PodCidrs(Vec<Cidr>),
    /// By the bridge that it comes from (`BridgeInterface`).
    Bridge(String),
    /// By the beginning of the name of the interface that it comes from (`InterfaceNamePrefix`).
    InterfacePrefix(String),
}

/// The addresses of the node that node ports answer at. Those of the loopback interface never do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// The node's primary address of each family.
    #[default]
    Primary,
    /// All local addresses in these ranges, also those that come later; a range of length 0 takes in all.
    Cidrs(Vec<Cidr>),
}
