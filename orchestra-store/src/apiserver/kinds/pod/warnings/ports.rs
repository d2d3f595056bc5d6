use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, ContainerPort};

use crate::apiserver::field::Path;

/// What is odd about the ports of a pod's containers, each with its path.
pub(super) fn ports(containers: &[(Path, &Container)], warnings: &mut Vec<String>) {
    let all = || {
        containers.iter().flat_map(|(path, container)| {
            let ports = container.ports.iter().flatten().enumerate();
            ports.map(|(i, port)| (path.child("ports").index(i), port))
        })
    };
    let mut by_number: HashMap<(i32, &str), Vec<(Path, &ContainerPort)>> = HashMap::new();
    for (path, port) in all() {
        if !host_ip(port).is_empty() && host_port(port) == 0 {
            warnings.push(format!("{path}: hostIP set without hostPort: {}", shown(port)));
        }
        let others = by_number.entry((port.container_port, protocol(port))).or_default();
        let overlaps = others
            .iter()
            .filter_map(|(at, other)| Some(format!("{path}: {} port definition with {at}", overlap(port, other)?)));
        warnings.extend(overlaps);
        others.push((path, port));
    }
    let mut names = HashMap::new();
    for (path, port) in all() {
        let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) else { continue };
        match names.get(name) {
            Some(first) => warnings.push(format!(
                "{path}: duplicate port name {name:?} with {first}, services and probes that select ports by name will use {first}"
            )),
            None => drop(names.insert(name, path)),
        }
    }
}

/// How two definitions of one number get into each other's way, if they do.
fn overlap(one: &ContainerPort, other: &ContainerPort) -> Option<&'static str> {
    let same_host_port = host_port(one) == host_port(other);
    if same_host_port && host_ip(one) == host_ip(other) {
        Some("duplicate")
    } else if host_port(one) == 0 || host_port(other) == 0 {
        Some("overlapping")
    } else if same_host_port && host_ip(one).is_empty() != host_ip(other).is_empty() {
        Some("dangerously ambiguous")
    } else {
        None
    }
}

fn host_ip(port: &ContainerPort) -> &str {
    port.host_ip.as_deref().unwrap_or_default()
}

fn host_port(port: &ContainerPort) -> i32 {
    port.host_port.unwrap_or_default()
}

fn protocol(port: &ContainerPort) -> &str {
    port.protocol.as_deref().unwrap_or_default()
}

/// As Go prints the structure.
fn shown(port: &ContainerPort) -> String {
    let (name, number) = (port.name.as_deref().unwrap_or_default(), port.container_port);
    let (host_port, protocol, host_ip) = (host_port(port), protocol(port), host_ip(port));
    format!("{{Name:{name} HostPort:{host_port} ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn warnings(first: Value, second: Value) -> Vec<String> {
        let container =
            |ports: Value| serde_json::from_value::<Container>(json!({"name": "c", "ports": ports})).unwrap();
        let (first, second) = (container(first), container(second));
        let mut warnings = Vec::new();
        ports(&[(Path::new("a"), &first), (Path::new("b"), &second)], &mut warnings);
        warnings
    }

    #[test]
    fn definitions_that_get_into_each_others_way_are_told() {
        let port = json!({"containerPort": 80, "protocol": "TCP"});
        let hosted = json!({"containerPort": 80, "protocol": "TCP", "hostPort": 8080});
        let bound = json!({"containerPort": 80, "protocol": "TCP", "hostPort": 8080, "hostIP": "10.0.0.1"});
        let udp = json!({"containerPort": 80, "protocol": "UDP"});
        let said = |one: &Value, other: &Value| warnings(json!([one]), json!([other])).concat();
        assert_eq!(said(&port, &udp), "");
        assert_eq!(said(&port, &port), "b.ports[0]: duplicate port definition with a.ports[0]");
        assert_eq!(said(&port, &hosted), "b.ports[0]: overlapping port definition with a.ports[0]");
        assert_eq!(said(&hosted, &bound), "b.ports[0]: dangerously ambiguous port definition with a.ports[0]");
    }

    #[test]
    fn names_that_occur_twice_and_addresses_of_no_port_are_told() {
        let named = json!([{"containerPort": 80, "name": "web"}]);
        let other = json!([{"containerPort": 81, "name": "web", "protocol": "TCP", "hostIP": "10.0.0.1"}]);
        let expected = [
            "b.ports[0]: hostIP set without hostPort: {Name:web HostPort:0 ContainerPort:81 Protocol:TCP HostIP:10.0.0.1}",
            "b.ports[0]: duplicate port name \"web\" with a.ports[0], services and probes that select ports by name will use a.ports[0]",
        ];
        assert_eq!(warnings(named, other), expected);
    }
}
