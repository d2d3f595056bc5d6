//! The environment variables that tell a container of services (`pkg/kubelet/envvars`).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// The variables for a pod of `namespace`: of its services if `links`, and of the service `kubernetes` of `default` always.
pub(super) fn variables<'a>(
    services: impl IntoIterator<Item = &'a Arc<Service>>,
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let (mut chosen, mut master) = (BTreeMap::new(), None);
    for service in services {
        let (Some(name), Some(of)) = (service.metadata.name.as_deref(), service.metadata.namespace.as_deref()) else {
            continue;
        };
        let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
        let Some(address) = address.filter(|address| !address.is_empty() && *address != "None") else { continue };
        if (of, name) == ("default", "kubernetes") {
            master = Some((service, address));
        } else if of == namespace && links {
            chosen.insert(name, (service, address));
        }
    }
    // A service of that name in the pod's namespace counts more, as in Kubernetes.
    if let Some(master) = master {
        chosen.entry("kubernetes").or_insert(master);
    }
    let mut variables = BTreeMap::new();
    for (name, (service, address)) in chosen {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        add(&mut variables, &variable_name(name), address, ports);
    }
    variables
}

/// The variables of one service: its address and ports, and those that Docker's links had.
fn add(variables: &mut BTreeMap<String, String>, name: &str, address: &str, ports: &[ServicePort]) {
    let mut set = |suffix: String, value: String| variables.insert(format!("{name}_{suffix}"), value);
    set("SERVICE_HOST".to_owned(), address.to_owned());
    if let Some(first) = ports.first() {
        set("SERVICE_PORT".to_owned(), first.port.to_string());
    }
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            set(format!("SERVICE_PORT_{}", variable_name(port_name)), port.port.to_string());
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let (lower, number) = (protocol.to_lowercase(), port.port);
        let url = format!("{lower}://{}", host_and_port(address, number));
        if index == 0 {
            set("PORT".to_owned(), url.clone());
        }
        let prefix = format!("PORT_{number}_{}", protocol.to_uppercase());
        set(format!("{prefix}_PROTO"), lower);
        set(format!("{prefix}_PORT"), number.to_string());
        set(format!("{prefix}_ADDR"), address.to_owned());
        set(prefix, url);
    }
}

fn host_and_port(address: &str, port: i32) -> String {
    let is_v6 = address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
    if is_v6 { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn variable_name(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(namespace: &str, name: &str, spec: Value) -> Arc<Service> {
        let service = json!({ "metadata": { "namespace": namespace, "name": name }, "spec": spec });
        Arc::new(serde_json::from_value(service).unwrap())
    }

    fn services() -> Vec<Arc<Service>> {
        let https = json!([{ "name": "https", "port": 443 }]);
        vec![
            service("default", "kubernetes", json!({ "clusterIP": "10.96.0.1", "ports": https })),
            service("ns", "my-dns", json!({ "clusterIP": "fd00::1", "ports": [{ "port": 53, "protocol": "UDP" }] })),
            service("ns", "headless", json!({ "clusterIP": "None", "ports": https })),
            service("ns", "external", json!({ "type": "ExternalName" })),
            service("other", "web", json!({ "clusterIP": "10.96.0.2", "ports": https })),
        ]
    }

    #[test]
    fn each_service_has_the_variables_of_kubernetes_and_docker() {
        let variables = variables(&services(), "ns", true);
        let all: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            all,
            [
                "KUBERNETES_PORT=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1",
                "KUBERNETES_PORT_443_TCP_PORT=443",
                "KUBERNETES_PORT_443_TCP_PROTO=tcp",
                "KUBERNETES_SERVICE_HOST=10.96.0.1",
                "KUBERNETES_SERVICE_PORT=443",
                "KUBERNETES_SERVICE_PORT_HTTPS=443",
                "MY_DNS_PORT=udp://[fd00::1]:53",
                "MY_DNS_PORT_53_UDP=udp://[fd00::1]:53",
                "MY_DNS_PORT_53_UDP_ADDR=fd00::1",
                "MY_DNS_PORT_53_UDP_PORT=53",
                "MY_DNS_PORT_53_UDP_PROTO=udp",
                "MY_DNS_SERVICE_HOST=fd00::1",
                "MY_DNS_SERVICE_PORT=53",
            ]
        );
    }

    #[test]
    fn without_links_there_is_only_the_api_server() {
        let variables = variables(&services(), "ns", false);
        assert_eq!(variables.get("KUBERNETES_SERVICE_HOST").map(String::as_str), Some("10.96.0.1"));
        assert!(!variables.keys().any(|name| name.starts_with("MY_DNS")));
    }
}
