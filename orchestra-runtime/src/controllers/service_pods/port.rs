use k8s_openapi::{
    api::core::v1::{Container, Pod, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};

/// The port of a pod that a port of a Service leads to: the number itself, or the port of that name and protocol of one of the
/// containers that run as long as the pod does. Pods of one Service may have different ones.
pub(in crate::controllers) fn find_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers.iter().chain(sidecars).find_map(|container| port_of(container, name, protocol(&port.protocol)))
}

fn port_of(container: &Container, name: &str, wanted: &str) -> Option<i32> {
    let found = container
        .ports
        .iter()
        .flatten()
        .find(|port| port.name.as_deref() == Some(name) && protocol(&port.protocol) == wanted);
    found.map(|port| port.container_port)
}

fn protocol(protocol: &Option<String>) -> &str {
    protocol.as_deref().unwrap_or("TCP")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(target: Value, protocol: &str) -> Option<i32> {
        let named = |number: i32| json!([{"name": "web", "containerPort": number, "protocol": "TCP"}]);
        let pod = json!({"metadata": {}, "spec": {
            "initContainers": [
                {"name": "once", "ports": [{"name": "init", "containerPort": 1}]},
                {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 15001}]},
            ],
            "containers": [{"name": "a"}, {"name": "b", "ports": named(8080)}, {"name": "c", "ports": named(9090)}],
        }});
        let port = json!({"port": 80, "targetPort": target, "protocol": protocol});
        find_port(&serde_json::from_value(pod).unwrap(), &serde_json::from_value(port).unwrap())
    }

    #[test]
    fn named_ports_are_looked_up_in_what_runs_as_long_as_the_pod() {
        assert_eq!(found(json!(8081), "TCP"), Some(8081));
        assert_eq!(found(json!("web"), "TCP"), Some(8080));
        assert_eq!(found(json!("proxy"), "TCP"), Some(15001));
        assert_eq!(found(json!("web"), "UDP"), None);
        assert_eq!(found(json!("init"), "TCP"), None);
    }
}
