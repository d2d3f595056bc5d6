//! The content of `/etc/hosts` in containers.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use super::Hostname;

const HEADER: &str = "# Kubernetes-managed hosts file.\n";
const HEADER_OF_NODE: &str = "# Kubernetes-managed hosts file (host network).\n";
const LOCAL: &str = "127.0.0.1\tlocalhost\n\
                     ::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::0\tip6-localnet\n\
                     fe00::0\tip6-mcastprefix\n\
                     fe00::1\tip6-allnodes\n\
                     fe00::2\tip6-allrouters\n";

/// For a pod with a network of its own.
pub(in crate::kubelet) fn pod_hosts_file(pod: &Pod, host: &Hostname, ips: &[IpAddr]) -> String {
    let mut text = format!("{HEADER}{LOCAL}");
    for ip in ips {
        let line = match host.domain.as_str() {
            "" => format!("{ip}\t{}\n", host.name),
            domain => format!("{ip}\t{}.{domain}\t{}\n", host.name, host.name),
        };
        text.push_str(&line);
    }
    text.push_str(&aliases(pod));
    text
}

/// For a pod with the node's network: the node's own file, and the pod's aliases.
pub(in crate::kubelet) fn node_hosts_file(pod: &Pod, of_node: &str) -> String {
    format!("{HEADER_OF_NODE}{of_node}{}", aliases(pod))
}

fn aliases(pod: &Pod) -> String {
    let all = pod.spec.as_ref().and_then(|spec| spec.host_aliases.as_deref()).unwrap_or_default();
    if all.is_empty() {
        return String::new();
    }
    let line =
        |alias: &HostAlias| format!("{}\t{}\n", alias.ip, alias.hostnames.as_deref().unwrap_or_default().join("\t"));
    format!("\n# Entries added by HostAliases.\n{}", all.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::pod, *};

    #[test]
    fn a_pod_finds_itself_and_its_aliases() {
        let pod = pod(json!({
            "hostname": "web-0", "subdomain": "web",
            "hostAliases": [{ "ip": "1.2.3.4", "hostnames": ["a.example", "b.example"] }],
        }));
        let ips = ["10.1.0.7".parse().unwrap(), "fd00::7".parse().unwrap()];
        let text = pod_hosts_file(&pod, &Hostname::of(&pod, "cluster.local"), &ips);
        let (header, rest) = text.split_once("fe00::2\tip6-allrouters\n").unwrap();
        assert!(header.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-"));
        assert_eq!(
            rest,
            "10.1.0.7\tweb-0.web.ns.svc.cluster.local\tweb-0\nfd00::7\tweb-0.web.ns.svc.cluster.local\tweb-0\n\
             \n# Entries added by HostAliases.\n1.2.3.4\ta.example\tb.example\n"
        );
        let of_node = node_hosts_file(&pod, "127.0.0.1 localhost\n");
        assert!(
            of_node.starts_with("# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n\n# Entries")
        );
    }
}
