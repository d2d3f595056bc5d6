use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, PodSpec};

/// The address that stands for all of a node's addresses.
const ANY_ADDRESS: &str = "0.0.0.0";

/// A port of the node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The port's number.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
    /// The node's address; `0.0.0.0` is every one of them.
    pub address: Arc<str>,
}

impl HostPort {
    /// Whether both cannot be taken on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || &*self.address == ANY_ADDRESS || &*other.address == ANY_ADDRESS)
    }

    /// What the containers of a pod take while it runs. Init containers that end before the others start are not asked, as in
    /// Kubernetes; those that keep running (sidecars) are.
    pub(super) fn of(spec: &PodSpec) -> Vec<Self> {
        let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
        spec.containers.iter().chain(sidecars).flat_map(Self::of_container).collect()
    }

    fn of_container(container: &Container) -> impl Iterator<Item = Self> {
        let ports = container.ports.iter().flatten();
        ports.filter_map(|port| {
            Some(Self {
                port: port.host_port.filter(|number| *number > 0)?,
                protocol: port.protocol.as_deref().unwrap_or("TCP").into(),
                address: port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or(ANY_ADDRESS).into(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(port: i32, protocol: &str, address: &str) -> HostPort {
        HostPort { port, protocol: protocol.into(), address: address.into() }
    }

    #[test]
    fn a_port_on_every_address_conflicts_with_one_on_any() {
        assert!(port(80, "TCP", "0.0.0.0").conflicts(&port(80, "TCP", "10.0.0.1")));
        assert!(port(80, "TCP", "10.0.0.1").conflicts(&port(80, "TCP", "0.0.0.0")));
        assert!(port(80, "TCP", "10.0.0.1").conflicts(&port(80, "TCP", "10.0.0.1")));
    }

    #[test]
    fn another_address_protocol_or_number_does_not_conflict() {
        assert!(!port(80, "TCP", "10.0.0.2").conflicts(&port(80, "TCP", "10.0.0.1")));
        assert!(!port(80, "UDP", "0.0.0.0").conflicts(&port(80, "TCP", "0.0.0.0")));
        assert!(!port(81, "TCP", "0.0.0.0").conflicts(&port(80, "TCP", "0.0.0.0")));
    }
}
