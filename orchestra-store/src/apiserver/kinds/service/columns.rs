//! The table of Services (`printService` of `pkg/printers/internalversion`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use serde_json::{Value, json};

use super::needs;
use crate::apiserver::{age, kinds::column, strategy::Column};

const NONE: &str = "<none>";

/// A Service's cells.
pub(super) fn cells(service: &Service, now: Timestamp) -> Vec<Value> {
    let spec = service.spec.clone().unwrap_or_default();
    let ip = spec.cluster_ips.iter().flatten().next().or(spec.cluster_ip.as_ref()).filter(|ip| !ip.is_empty());
    let ports: Vec<String> = spec.ports.iter().flatten().map(port).collect();
    let selector: Vec<String> = spec.selector.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        json!(service.metadata.name),
        json!(needs::kind(&spec)),
        json!(ip.map_or(NONE, String::as_str)),
        json!(external_ip(service)),
        json!(or_none(ports.join(","))),
        json!(age::since(service.metadata.creation_timestamp.as_ref(), now)),
        json!(or_none(selector.join(","))),
    ]
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

fn port(port: &ServicePort) -> String {
    let protocol = port.protocol.as_deref().unwrap_or_default();
    match port.node_port {
        Some(node_port) if node_port > 0 => format!("{}:{node_port}/{protocol}", port.port),
        _ => format!("{}/{protocol}", port.port),
    }
}

fn external_ip(service: &Service) -> String {
    let Some(spec) = &service.spec else { return "<unknown>".to_owned() };
    let external = spec.external_ips.iter().flatten().cloned();
    match needs::kind(spec) {
        "ClusterIP" | "NodePort" => or_none(external.collect::<Vec<_>>().join(",")),
        "LoadBalancer" => {
            let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
            let ingress = balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
            let ips = ingress.filter_map(|ingress| {
                let ip = ingress.ip.clone().filter(|ip| !ip.is_empty());
                ip.or_else(|| ingress.hostname.clone().filter(|name| !name.is_empty()))
            });
            match ips.chain(external).collect::<Vec<_>>().join(",") {
                none if none.is_empty() => "<pending>".to_owned(),
                ips => ips,
            }
        }
        "ExternalName" => spec.external_name.clone().unwrap_or_default(),
        _ => "<unknown>".to_owned(),
    }
}

/// The columns; the selector is shown with `-o wide`.
pub(super) const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Type",
        kind: "string",
        format: "",
        description: "type determines how the Service is exposed. Defaults to ClusterIP. Valid options are ExternalName, ClusterIP, NodePort, and LoadBalancer. \"ClusterIP\" allocates a cluster-internal IP address for load-balancing to endpoints. Endpoints are determined by the selector or if that is not specified, by manual construction of an Endpoints object or EndpointSlice objects. If clusterIP is \"None\", no virtual IP is allocated and the endpoints are published as a set of endpoints rather than a virtual IP. \"NodePort\" builds on ClusterIP and allocates a port on every node which routes to the same endpoints as the clusterIP. \"LoadBalancer\" builds on NodePort and creates an external load-balancer (if supported in the current cloud) which routes to the same endpoints as the clusterIP. \"ExternalName\" aliases this service to the specified externalName. Several other fields do not apply to ExternalName services. More info: https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types",
        priority: 0,
    },
    Column {
        name: "Cluster-IP",
        kind: "string",
        format: "",
        description: "clusterIP is the IP address of the service and is usually assigned randomly. If an address is specified manually, is in-range (as per system configuration), and is not in use, it will be allocated to the service; otherwise creation of the service will fail. This field may not be changed through updates unless the type field is also being changed to ExternalName (which requires this field to be blank) or the type field is being changed from ExternalName (in which case this field may optionally be specified, as describe above).  Valid values are \"None\", empty string (\"\"), or a valid IP address. Setting this to \"None\" makes a \"headless service\" (no virtual IP), which is useful when direct endpoint connections are preferred and proxying is not required.  Only applies to types ClusterIP, NodePort, and LoadBalancer. If this field is specified when creating a Service of type ExternalName, creation will fail. This field will be wiped when updating a Service to type ExternalName. More info: https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies",
        priority: 0,
    },
    Column {
        name: "External-IP",
        kind: "string",
        format: "",
        description: "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic for this service.  These IPs are not managed by Kubernetes.  The user is responsible for ensuring that traffic arrives at a node with this IP.  A common example is external load-balancers that are not part of the Kubernetes system.",
        priority: 0,
    },
    Column {
        name: "Port(s)",
        kind: "string",
        format: "",
        description: "The list of ports that are exposed by this service. More info: https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies",
        priority: 0,
    },
    column::AGE,
    Column {
        name: "Selector",
        kind: "string",
        format: "",
        description: "Route service traffic to pods with label keys and values matching this selector. If empty or not present, the service is assumed to have an external process managing its endpoints, which Kubernetes will not modify. Only applies to types ClusterIP, NodePort, and LoadBalancer. Ignored if type is ExternalName. More info: https://kubernetes.io/docs/concepts/services-networking/service/",
        priority: 1,
    },
];
