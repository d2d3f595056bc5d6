//! The defaults of Services (`SetDefaults_Service` of core/v1, and those that the registry sets before it allocates).

use k8s_openapi::{
    api::core::v1::{LoadBalancerStatus, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::needs;

/// How long a client's connections go to the same pod, in seconds.
const AFFINITY_SECONDS: i32 = 3 * 60 * 60;

/// Fills in what the client left out; tells whether the Service is for a load balancer.
pub(super) fn spec(spec: &mut ServiceSpec) -> bool {
    set(&mut spec.session_affinity, "None");
    match spec.session_affinity.as_deref() {
        Some("None") => spec.session_affinity_config = None,
        Some("ClientIP") => {
            let config = spec.session_affinity_config.get_or_insert_default();
            config.client_ip.get_or_insert_default().timeout_seconds.get_or_insert(AFFINITY_SECONDS);
        }
        _ => {}
    }
    set(&mut spec.type_, "ClusterIP");
    spec.ports.iter_mut().flatten().for_each(port);
    if needs::external_traffic(spec) {
        set(&mut spec.external_traffic_policy, "Cluster");
    }
    if needs::cluster_ip(spec) {
        set(&mut spec.internal_traffic_policy, "Cluster");
    }
    let balanced = needs::kind(spec) == "LoadBalancer";
    if balanced {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
    balanced
}

/// Addresses of a load balancer are the nodes' to answer for, unless it says otherwise.
pub(super) fn balancer(balancer: &mut LoadBalancerStatus) {
    for point in balancer.ingress.iter_mut().flatten() {
        if point.ip.as_ref().is_some_and(|ip| !ip.is_empty()) {
            point.ip_mode.get_or_insert_with(|| "VIP".to_owned());
        }
    }
}

fn port(port: &mut ServicePort) {
    set(&mut port.protocol, "TCP");
    // A target of zero or without a name is none.
    let absent = match &port.target_port {
        None => true,
        Some(IntOrString::Int(number)) => *number == 0,
        Some(IntOrString::String(name)) => name.is_empty(),
    };
    if absent {
        port.target_port = Some(IntOrString::Int(port.port));
    }
}

/// The list of addresses follows the one address that old clients set.
pub(super) fn cluster_ips(spec: &mut ServiceSpec) {
    let none = spec.cluster_ips.as_ref().is_none_or(Vec::is_empty);
    if let Some(ip) = spec.cluster_ip.as_ref().filter(|ip| !ip.is_empty() && none) {
        spec.cluster_ips = Some(vec![ip.clone()]);
    }
}

fn set(field: &mut Option<String>, default: &str) {
    let value = field.get_or_insert_default();
    if value.is_empty() {
        default.clone_into(value);
    }
}
