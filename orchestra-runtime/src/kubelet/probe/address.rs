use std::net::IpAddr;

use k8s_openapi::{api::core::v1::Container, apimachinery::pkg::util::intstr::IntOrString};

/// Where a pod is reached from its node: its address, or the node's if it has the node's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) struct Address(pub(in crate::kubelet) Option<IpAddr>);

impl Address {
    /// The host to dial: the one that the action names, or the pod.
    pub(super) fn host(&self, named: Option<&str>) -> Result<String, String> {
        match named.filter(|host| !host.is_empty()) {
            Some(host) => Ok(host.to_owned()),
            None => self.0.map(|ip| ip.to_string()).ok_or_else(|| "the pod has no address".to_owned()),
        }
    }
}

/// The number of a port that is given by number, or by its name in the container.
pub(super) fn port(given: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match given {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = |port: &&_| -> bool {
                let port: &k8s_openapi::api::core::v1::ContainerPort = port;
                port.name.as_ref() == Some(name)
            };
            match container.ports.iter().flatten().find(named) {
                Some(port) => port.container_port,
                // Perhaps a number as a text, which Kubernetes takes too, and with its words for what is none.
                None => name.parse().map_err(|_| format!("strconv.Atoi: parsing {name:?}: invalid syntax"))?,
            }
        }
    };
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_go_by_number_or_name() {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "c", "ports": [{ "name": "web", "containerPort": 8080 }],
        }))
        .unwrap();
        let name = |name: &str| port(&IntOrString::String(name.to_owned()), &container);
        assert_eq!(port(&IntOrString::Int(80), &container), Ok(80));
        assert_eq!((name("web"), name("81")), (Ok(8080), Ok(81)));
        assert_eq!(name("http").unwrap_err(), "strconv.Atoi: parsing \"http\": invalid syntax");
        assert_eq!(port(&IntOrString::Int(0), &container).unwrap_err(), "invalid port number: 0");
        assert_eq!(join("fd00::1", 80), "[fd00::1]:80");
    }
}
