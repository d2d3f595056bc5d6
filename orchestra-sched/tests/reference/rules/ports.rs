//! Ports of the node: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports>.

use k8s_openapi::api::core::v1::{Container, Node, Pod};

use super::Cluster;

/// No two pods of a node have the same port and protocol at the same address; no address, or 0.0.0.0, is every address.
pub(super) fn are_free(cluster: &Cluster, pod: &Pod, node: &Node) -> bool {
    let taken: Vec<_> = cluster.pods_on(node).flat_map(host_ports).collect();
    host_ports(pod).iter().all(|(port, protocol, address)| {
        taken.iter().all(|(other_port, other_protocol, other_address)| {
            let every = |address: &String| address.is_empty() || address == "0.0.0.0";
            let same_address = address == other_address || every(address) || every(other_address);
            !(port == other_port && protocol == other_protocol && same_address)
        })
    })
}

/// Port, protocol and address of what the containers that keep running ask for.
fn host_ports(pod: &Pod) -> Vec<(i32, String, String)> {
    let spec = pod.spec.clone().unwrap_or_default();
    let sidecars = spec.init_containers.unwrap_or_default().into_iter().filter(is_sidecar);
    let containers = spec.containers.into_iter().chain(sidecars);
    let ports = containers.flat_map(|container| container.ports.unwrap_or_default());
    let host_ports = ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        Some((number, port.protocol.unwrap_or("TCP".to_owned()), port.host_ip.unwrap_or_default()))
    });
    host_ports.collect()
}

/// An init container that keeps running beside those that start after it.
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}
