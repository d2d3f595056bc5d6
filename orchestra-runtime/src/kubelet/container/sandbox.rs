//! What a pod's sandbox is to be like (`generatePodSandboxConfig`).

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod};
use kube::ResourceExt;
use orchestra_core::container_runtime::{PortMapping, Protocol, SandboxConfig, SandboxMetadata, labels};

use super::{
    ConfigError, DnsSettings, Hostname,
    dns::{self, Warning},
    logs::log_directory,
    security,
};
use crate::kubelet::{NodeConfig, sysctls::dotted};

/// The labels by which a pod's sandbox and containers are found again.
pub(in crate::kubelet) fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    let metadata = &pod.metadata;
    let label = |name: &str, value: &Option<String>| (name.to_owned(), value.clone().unwrap_or_default());
    BTreeMap::from([
        label(labels::POD_NAME, &metadata.name),
        label(labels::POD_NAMESPACE, &metadata.namespace),
        label(labels::POD_UID, &metadata.uid),
    ])
}

/// The sandbox for a pod, and warnings about it: reason and message.
pub(in crate::kubelet) fn sandbox_config(
    pod: &Pod,
    attempt: u32,
    node: &NodeConfig,
    dns: &DnsSettings,
    runtime_handler: String,
    cgroup_parent: String,
) -> Result<(SandboxConfig, Vec<Warning>), ConfigError> {
    let spec = pod.spec.as_ref();
    let host_network = spec.and_then(|spec| spec.host_network).unwrap_or(false);
    let (resolution, warnings) = dns::of_pod(pod, dns);
    let sysctls = spec.and_then(|spec| spec.security_context.as_ref()?.sysctls.as_ref());
    // The node's own host name is for those who have its network.
    let hostname = if host_network { String::new() } else { Hostname::of(pod, &node.cluster_domain).of_kernel(pod)? };
    let config = SandboxConfig {
        metadata: SandboxMetadata {
            name: pod.name_any(),
            namespace: pod.namespace().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            attempt,
        },
        hostname,
        host_network,
        host_ipc: spec.and_then(|spec| spec.host_ipc).unwrap_or(false),
        pid: security::pid(pod),
        dns: resolution,
        log_directory: node.pod_logs.as_ref().map(|root| log_directory(root, pod)).unwrap_or_default(),
        cgroup_parent,
        sysctls: sysctls.into_iter().flatten().map(|sysctl| (dotted(&sysctl.name), sysctl.value.clone())).collect(),
        security: security::of_sandbox(pod),
        port_mappings: if host_network { Vec::new() } else { port_mappings(pod) },
        labels: labels_of(pod, node),
        annotations: if node.is_real() { pod.annotations().clone() } else { BTreeMap::new() },
        runtime_handler,
    };
    Ok((config, warnings))
}

/// The pod's own labels too, for tools on the node; a simulated one has none, and less to keep.
fn labels_of(pod: &Pod, node: &NodeConfig) -> BTreeMap<String, String> {
    let mut labels = if node.is_real() { pod.labels().clone() } else { BTreeMap::new() };
    labels.extend(pod_labels(pod));
    labels
}

fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    let spec = pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let ports = all.flat_map(|container: &Container| container.ports.iter().flatten());
    ports.filter_map(port_mapping).collect()
}

fn port_mapping(port: &ContainerPort) -> Option<PortMapping> {
    let host_port = port.host_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)?;
    let host_ip = port.host_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    Some(PortMapping {
        protocol: match port.protocol.as_deref() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        },
        container_port: u16::try_from(port.container_port).ok()?,
        host_port,
        host_ip: host_ip.filter(|ip| !ip.is_unspecified()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::pod, *};

    fn of(spec: Value) -> SandboxConfig {
        let mut node = NodeConfig::example();
        node.pod_logs = Some("/logs".into());
        let parent = "/kubepods/podu".to_owned();
        sandbox_config(&pod(spec), 1, &node, &DnsSettings::default(), String::new(), parent).unwrap().0
    }

    #[test]
    fn a_sandbox_has_the_pods_name_and_places() {
        let config = of(json!({}));
        assert_eq!((config.hostname.as_str(), config.metadata.attempt), ("p", 1));
        assert_eq!(config.log_directory, "/logs/ns_p_u");
        assert_eq!(config.cgroup_parent, "/kubepods/podu");
        assert_eq!(config.labels.get("io.kubernetes.pod.uid").map(String::as_str), Some("u"));
        assert_eq!(of(json!({ "hostNetwork": true })).hostname, "");
        let sysctls = json!({ "sysctls": [{ "name": "net.core.somaxconn", "value": "1" }] });
        let config = of(json!({ "hostIPC": true, "securityContext": sysctls }));
        assert!(config.host_ipc);
        assert_eq!(config.sysctls["net.core.somaxconn"], "1");
    }

    #[test]
    fn ports_of_the_node_lead_to_those_of_containers() {
        let ports = json!([
            { "containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1" },
            { "containerPort": 53, "hostPort": 53, "hostIP": "0.0.0.0", "protocol": "UDP" },
            { "containerPort": 81 },
        ]);
        let spec = json!({ "containers": [{ "name": "c", "ports": ports }] });
        let mappings = of(spec.clone()).port_mappings;
        let brief: Vec<_> =
            mappings.iter().map(|port| (port.protocol, port.container_port, port.host_port, port.host_ip)).collect();
        assert_eq!(
            brief,
            [(Protocol::Tcp, 80, 8080, Some("127.0.0.1".parse().unwrap())), (Protocol::Udp, 53, 53, None)]
        );
        let mut with_node_network = spec;
        with_node_network["hostNetwork"] = json!(true);
        assert_eq!(of(with_node_network).port_mappings, []);
    }
}
