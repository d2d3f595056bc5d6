//! Which of the kernel's parameters pods may set (`pkg/kubelet/sysctl`): those that are of the pod's own namespaces and do no harm to others, and
//! those that the node's owner allows.

use k8s_openapi::api::core::v1::Pod;

/// The parameters that are safe on any kernel that containers need.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// A parameter with dots between the parts of its name, which may be told with slashes.
pub(super) fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(first) if name[first..].starts_with('/') => {
            let swapped = |c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            };
            name.chars().map(swapped).collect()
        }
        _ => name.to_owned(),
    }
}

/// Why the node does not let the pod set what it wants to: reason and message. `also` are the unsafe parameters that are allowed.
pub(super) fn refusal(pod: &Pod, also: &[String]) -> Option<(String, String)> {
    let spec = pod.spec.as_ref()?;
    let sysctls = spec.security_context.as_ref()?.sysctls.as_ref()?;
    let refused = |name: &String| {
        let name = dotted(name);
        let is_allowed = SAFE.contains(&name.as_str()) || also.iter().any(|pattern| matches(pattern, &name));
        match namespace(&name).filter(|_| is_allowed) {
            None => Some(format!("forbidden sysctl: {name:?} not allowlisted")),
            Some("net") if spec.host_network == Some(true) => Some(with_host(&name, "net")),
            Some("ipc") if spec.host_ipc == Some(true) => Some(with_host(&name, "ipc")),
            Some(_) => None,
        }
    };
    let message = sysctls.iter().find_map(|sysctl| refused(&sysctl.name))?;
    Some(("SysctlForbidden".to_owned(), message))
}

fn with_host(name: &str, namespace: &str) -> String {
    format!("forbidden sysctl: {name:?} not allowed with host {namespace} enabled")
}

fn matches(pattern: &str, name: &str) -> bool {
    let pattern = dotted(pattern);
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

/// The namespace that has a parameter of its own; others are the whole node's.
fn namespace(name: &str) -> Option<&'static str> {
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
    match () {
        () if begins(&["kernel.shm", "kernel.msg", "fs.mqueue."]) || name == "kernel.sem" => Some("ipc"),
        () if begins(&["net."]) => Some("net"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(name: &str, more: Value, also: &[&str]) -> Option<String> {
        let mut spec = json!({ "containers": [], "securityContext": { "sysctls": [{ "name": name, "value": "1" }] } });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let also: Vec<String> = also.iter().map(|name| (*name).to_owned()).collect();
        refusal(&pod, &also).map(|(reason, message)| format!("{reason}: {message}"))
    }

    #[test]
    fn only_what_is_safe_or_allowed_may_be_set() {
        let forbidden = |name: &str| Some(format!("SysctlForbidden: forbidden sysctl: {name:?} not allowlisted"));
        assert_eq!(refused("kernel.shm_rmid_forced", json!({}), &[]), None);
        assert_eq!(refused("net/ipv4/tcp_syncookies", json!({}), &[]), None);
        assert_eq!(refused("kernel.msgmax", json!({}), &[]), forbidden("kernel.msgmax"));
        assert_eq!(refused("kernel/msgmax", json!({}), &[]), forbidden("kernel.msgmax"));
        assert_eq!(refused("kernel.msgmax", json!({}), &["kernel.msg*"]), None);
        // It would be set for the whole node.
        assert_eq!(refused("vm.swappiness", json!({}), &["vm.*"]), forbidden("vm.swappiness"));
        let host = "SysctlForbidden: forbidden sysctl: \"net.ipv4.tcp_syncookies\" not allowed with host net enabled";
        assert_eq!(refused("net.ipv4.tcp_syncookies", json!({ "hostNetwork": true }), &[]).unwrap(), host);
        let host = "SysctlForbidden: forbidden sysctl: \"kernel.sem\" not allowed with host ipc enabled";
        assert_eq!(refused("kernel.sem", json!({ "hostIPC": true }), &["kernel.sem"]).unwrap(), host);
    }

    #[test]
    fn names_may_have_slashes() {
        for (name, with_dots) in [("a/b.c/d", "a.b/c.d"), ("a.b/c", "a.b/c"), ("a", "a"), ("/", ".")] {
            assert_eq!(dotted(name), with_dots);
        }
    }
}
