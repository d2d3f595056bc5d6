//! Which fields apply to a Service of a type.

use k8s_openapi::api::core::v1::ServiceSpec;

/// The type; empty if not said.
pub(super) fn kind(spec: &ServiceSpec) -> &str {
    spec.type_.as_deref().unwrap_or_default()
}

/// Whether it has addresses in the cluster, or says that it has none.
pub(super) fn cluster_ip(spec: &ServiceSpec) -> bool {
    matches!(kind(spec), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether it has no address of its own.
pub(super) fn headless(spec: &ServiceSpec) -> bool {
    let ips = spec.cluster_ips.iter().flatten().map(String::as_str);
    cluster_ip(spec) && ips.chain(spec.cluster_ip.as_deref()).next() == Some("None")
}

/// Whether each of its ports has a port on every node.
pub(super) fn node_ports(spec: &ServiceSpec) -> bool {
    match kind(spec) {
        "NodePort" => true,
        "LoadBalancer" => spec.allocate_load_balancer_node_ports != Some(false),
        _ => false,
    }
}

/// Whether it has a port for the health checks of a load balancer.
pub(super) fn health_check_port(spec: &ServiceSpec) -> bool {
    kind(spec) == "LoadBalancer" && spec.external_traffic_policy.as_deref() == Some("Local")
}

/// Whether traffic comes to it from outside the cluster.
pub(super) fn external_traffic(spec: &ServiceSpec) -> bool {
    match kind(spec) {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()),
        _ => false,
    }
}
