use k8s_openapi::api::core::v1::Pod;

use super::ConfigError;

/// The kernel's limits for the name of a host, and for one that is given with its domain.
const MAX_NAME: usize = 63;
const MAX_FULL_NAME: usize = 64;

/// What a pod's host is called (`GeneratePodHostNameAndDomain`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubelet) struct Hostname {
    pub(in crate::kubelet) name: String,
    /// `SUBDOMAIN.NAMESPACE.svc.CLUSTER`; empty without a subdomain.
    pub(in crate::kubelet) domain: String,
}

impl Hostname {
    /// What a pod's host is called in a cluster of this domain.
    pub(in crate::kubelet) fn of(pod: &Pod, cluster_domain: &str) -> Self {
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (spec, metadata) = (pod.spec.as_ref(), &pod.metadata);
        if let Some(name) = spec.and_then(|spec| set(&spec.hostname_override)) {
            return Self { name: shortened(&name), domain: String::new() };
        }
        let name = spec.and_then(|spec| set(&spec.hostname)).or_else(|| metadata.name.clone()).unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let domain = spec.and_then(|spec| set(&spec.subdomain));
        let domain = domain.map(|subdomain| format!("{subdomain}.{namespace}.svc.{cluster_domain}"));
        Self { name: shortened(&name), domain: domain.unwrap_or_default() }
    }

    /// The name that the kernel is told.
    pub(super) fn of_kernel(self, pod: &Pod) -> Result<String, ConfigError> {
        let full = pod.spec.as_ref().and_then(|spec| spec.set_hostname_as_fqdn) == Some(true);
        if !full || self.domain.is_empty() {
            return Ok(self.name);
        }
        let name = format!("{}.{}", self.name, self.domain);
        if name.len() > MAX_FULL_NAME {
            return Err(ConfigError(format!(
                "failed to construct FQDN from pod hostname and cluster domain, FQDN {name} is too long \
                 ({MAX_FULL_NAME} is the max characters limit, {} characters were requested)",
                name.len()
            )));
        }
        Ok(name)
    }
}

fn shortened(name: &str) -> String {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    if end == name.len() { name.to_owned() } else { name[..end].trim_end_matches(['-', '.']).to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::pod, *};

    fn of(spec: Value) -> (String, String) {
        let host = Hostname::of(&pod(spec), "cluster.local");
        (host.name, host.domain)
    }

    #[test]
    fn a_host_is_called_as_the_pod_unless_it_says_otherwise() {
        assert_eq!(of(json!({})), ("p".into(), "".into()));
        let named = json!({ "hostname": "web-0", "subdomain": "web" });
        assert_eq!(of(named), ("web-0".into(), "web.ns.svc.cluster.local".into()));
        let overridden = json!({ "hostname": "a", "subdomain": "b", "hostnameOverride": "x.example" });
        assert_eq!(of(overridden), ("x.example".into(), "".into()));
        let mut long = pod(json!({}));
        long.metadata.name = Some(format!("{}-.{}", "a".repeat(61), "b".repeat(9)));
        assert_eq!(Hostname::of(&long, "").name, "a".repeat(61));
    }

    #[test]
    fn a_full_name_is_told_to_the_kernel_if_asked_for() {
        let kernel = |spec| {
            let pod = pod(spec);
            Hostname::of(&pod, "cluster.local").of_kernel(&pod).map_err(|error| error.to_string())
        };
        assert_eq!(kernel(json!({ "subdomain": "web" })).as_deref(), Ok("p"));
        let full = |name: &str| json!({ "hostname": name, "subdomain": "web", "setHostnameAsFQDN": true });
        assert_eq!(kernel(full("h")).as_deref(), Ok("h.web.ns.svc.cluster.local"));
        let refused = kernel(full(&"h".repeat(50))).unwrap_err();
        assert!(
            refused.ends_with("is too long (64 is the max characters limit, 75 characters were requested)"),
            "{refused}"
        );
    }
}
