//! What the sets and maps hold.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::super::Front;

/// The sets and maps of a table, those of session affinity and `nodeport-ips` aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum SetName {
    /// Cluster IPs, external IPs and load balancers' addresses, to where their traffic goes.
    ServiceIps,
    /// Node ports, to where their traffic goes.
    ServiceNodePorts,
    /// Fronts, to endpoints by number.
    ServiceEndpoints,
    /// Fronts with the external policy Local, to this node's endpoints by number.
    ServiceLocalEndpoints,
    /// As [`ServiceEndpoints`](Self::ServiceEndpoints), of node ports.
    NodePortEndpoints,
    /// As [`ServiceLocalEndpoints`](Self::ServiceLocalEndpoints), of node ports.
    NodePortLocalEndpoints,
    /// Fronts without endpoints, to their refusal.
    NoEndpointServices,
    /// Node ports without endpoints, to their refusal.
    NoEndpointNodePorts,
    /// Fronts with source ranges, to the chain that checks them.
    FirewallIps,
    /// Cluster IPs.
    ClusterIps,
    /// Endpoints twice: source and destination of one that is its own client.
    HairpinEndpoints,
}

impl SetName {
    /// All of them.
    pub(super) const ALL: [Self; 11] = [
        Self::ServiceIps,
        Self::ServiceNodePorts,
        Self::ServiceEndpoints,
        Self::ServiceLocalEndpoints,
        Self::NodePortEndpoints,
        Self::NodePortLocalEndpoints,
        Self::NoEndpointServices,
        Self::NoEndpointNodePorts,
        Self::FirewallIps,
        Self::ClusterIps,
        Self::HairpinEndpoints,
    ];
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceIps => "service-ips",
            Self::ServiceNodePorts => "service-nodeports",
            Self::ServiceEndpoints => "service-endpoints",
            Self::ServiceLocalEndpoints => "service-local-endpoints",
            Self::NodePortEndpoints => "nodeport-endpoints",
            Self::NodePortLocalEndpoints => "nodeport-local-endpoints",
            Self::NoEndpointServices => "no-endpoint-services",
            Self::NoEndpointNodePorts => "no-endpoint-nodeports",
            Self::FirewallIps => "firewall-ips",
            Self::ClusterIps => "cluster-ips",
            Self::HairpinEndpoints => "hairpin-endpoints",
        })
    }
}

/// What an element is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Address(IpAddr),
    /// The address as source and as destination.
    Loop(IpAddr),
    Front(Front),
    /// The endpoint of a front with this number.
    Slot(Front, usize),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let front = |f: &mut fmt::Formatter<'_>, front: &Front| match front.address {
            Some(address) => write!(f, "{address} . {} . {}", front.protocol, front.port),
            None => write!(f, "{} . {}", front.protocol, front.port),
        };
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Loop(address) => write!(f, "{address} . {address}"),
            Self::Front(key) => front(f, key),
            Self::Slot(key, number) => {
                front(f, key)?;
                // As nftables writes a packet's priority: two halves of 16 bits.
                write!(f, " . {:x}:{:x}", number >> 16, number & 0xffff)
            }
        }
    }
}

/// What a map has for an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing: it is a set.
    Member,
    /// The packet vanishes.
    Drop,
    /// The chain that goes on with the packet.
    Goto(String),
    /// Where the connection goes.
    Endpoint(SocketAddr),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member => Ok(()),
            Self::Drop => f.write_str(" : drop"),
            Self::Goto(chain) => write!(f, " : goto {chain}"),
            Self::Endpoint(endpoint) => write!(f, " : {} . {}", endpoint.ip(), endpoint.port()),
        }
    }
}
