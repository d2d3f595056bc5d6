//! How names are resolved in a pod (`pkg/kubelet/network/dns`).

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};
use orchestra_core::container_runtime::DnsConfig;

/// The limits of resolvers.
const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_LENGTH: usize = 2048;

/// What a node knows of name resolution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) struct DnsSettings {
    /// The cluster's name servers.
    pub(in crate::kubelet) servers: Vec<String>,
    /// The cluster's domain.
    pub(in crate::kubelet) domain: String,
    /// The node's own `resolv.conf`.
    pub(in crate::kubelet) of_node: DnsConfig,
}

/// A warning about name resolution: reason and message.
pub(in crate::kubelet) type Warning = (&'static str, String);

/// How names are resolved in `pod`, and what is to be told of it.
pub(super) fn of_pod(pod: &Pod, settings: &DnsSettings) -> (DnsConfig, Vec<Warning>) {
    let spec = pod.spec.as_ref();
    let mut warnings = Vec::new();
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let host_network = spec.and_then(|spec| spec.host_network) == Some(true);
    let by_cluster = policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network);
    let mut config = match () {
        () if policy == "None" => DnsConfig::default(),
        () if by_cluster && !settings.servers.is_empty() => of_cluster(pod, settings),
        () => settings.of_node.clone(),
    };
    // Where nothing at all is known, as on a simulated node, there is nothing to warn of.
    if by_cluster && settings.servers.is_empty() && settings.of_node != DnsConfig::default() {
        let message = format!(
            "pod: {:?}. kubelet does not have ClusterDNS IP configured and cannot create Pod using {policy:?} policy. \
             Falling back to \"Default\" policy.",
            super::full_name(pod)
        );
        warnings.push(("MissingClusterDNS", message));
    }
    if let Some(own) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        append(&mut config, own);
    }
    limit(&mut config, &mut warnings);
    (config, warnings)
}

fn of_cluster(pod: &Pod, settings: &DnsSettings) -> DnsConfig {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut searches = settings.of_node.searches.clone();
    if !settings.domain.is_empty() {
        let domain = &settings.domain;
        let cluster = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
        searches = cluster.into_iter().chain(searches).collect();
    }
    DnsConfig { servers: settings.servers.clone(), searches: distinct(searches), options: vec!["ndots:5".to_owned()] }
}

/// Adds what the pod asks for itself; its options count more.
fn append(config: &mut DnsConfig, own: &PodDNSConfig) {
    config.servers.extend(own.nameservers.iter().flatten().cloned());
    config.servers = distinct(std::mem::take(&mut config.servers));
    config.searches.extend(own.searches.iter().flatten().cloned());
    config.searches = distinct(std::mem::take(&mut config.searches));
    for option in own.options.iter().flatten() {
        let Some(name) = option.name.as_deref().filter(|name| !name.is_empty()) else { continue };
        config.options.retain(|other| other.split(':').next() != Some(name));
        config.options.push(match option.value.as_deref().filter(|value| !value.is_empty()) {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        });
    }
}

fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

fn limit(config: &mut DnsConfig, warnings: &mut Vec<Warning>) {
    if config.servers.len() > MAX_SERVERS {
        config.servers.truncate(MAX_SERVERS);
        let line = config.servers.join(" ");
        let message = format!(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {line}"
        );
        warnings.push(("DNSConfigForming", message));
    }
    let count = config.searches.len();
    config.searches.truncate(MAX_SEARCHES);
    while config.searches.join(" ").len() > MAX_SEARCH_LENGTH {
        config.searches.pop();
    }
    if config.searches.len() < count {
        let line = config.searches.join(" ");
        let message = format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {line}"
        );
        warnings.push(("DNSConfigForming", message));
    }
}

/// What a `resolv.conf` says.
pub(in crate::kubelet) fn resolv_conf(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => config.servers.extend(words.next()),
            // The last line counts.
            Some("search") => config.searches = words.map(|domain| trimmed(&domain)).collect(),
            Some("options") => config.options = words.collect(),
            _ => {}
        }
    }
    config
}

/// Without the dot at its end, unless it is all.
fn trimmed(domain: &str) -> String {
    domain.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(domain).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::pod, *};

    fn settings() -> DnsSettings {
        let of_node = resolv_conf("# node\nnameserver 192.0.2.1\nsearch example. x.example\noptions rotate\n");
        DnsSettings { servers: vec!["10.96.0.10".to_owned()], domain: "cluster.local".to_owned(), of_node }
    }

    fn of(spec: Value) -> String {
        let (config, warnings) = of_pod(&pod(spec), &settings());
        assert_eq!(warnings, []);
        format!("{} | {} | {}", config.servers.join(" "), config.searches.join(" "), config.options.join(" "))
    }

    #[test]
    fn each_policy_has_its_servers() {
        let cluster = "10.96.0.10 | ns.svc.cluster.local svc.cluster.local cluster.local example x.example | ndots:5";
        let node = "192.0.2.1 | example x.example | rotate";
        assert_eq!(of(json!({})), cluster);
        assert_eq!(of(json!({ "hostNetwork": true })), node);
        assert_eq!(of(json!({ "hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet" })), cluster);
        assert_eq!(of(json!({ "dnsPolicy": "Default" })), node);
        let own = json!({
            "nameservers": ["1.1.1.1", "1.1.1.1"], "searches": ["a", "example"],
            "options": [{ "name": "ndots", "value": "2" }, { "name": "edns0" }],
        });
        assert_eq!(of(json!({ "dnsPolicy": "None", "dnsConfig": own })), "1.1.1.1 | a example | ndots:2 edns0");
        assert_eq!(
            of(json!({ "dnsConfig": own })),
            "10.96.0.10 1.1.1.1 | ns.svc.cluster.local svc.cluster.local cluster.local example x.example a | ndots:2 edns0"
        );
    }

    #[test]
    fn what_resolvers_cannot_take_is_left_out_and_told() {
        let servers: Vec<String> = (1..=4).map(|i| format!("1.1.1.{i}")).collect();
        let searches: Vec<String> = (0..40).map(|i| format!("s{i}")).collect();
        let pod = pod(json!({ "dnsPolicy": "None", "dnsConfig": { "nameservers": servers, "searches": searches } }));
        let (config, warnings) = of_pod(&pod, &settings());
        assert_eq!((config.servers.len(), config.searches.len()), (3, 32));
        assert!(warnings[0].1.ends_with("the applied nameserver line is: 1.1.1.1 1.1.1.2 1.1.1.3"), "{warnings:?}");
        assert!(warnings[1].1.starts_with("Search Line limits were exceeded"), "{warnings:?}");
    }

    #[test]
    fn a_cluster_without_name_servers_is_told_of() {
        let (config, warnings) = of_pod(&pod(json!({})), &DnsSettings { servers: Vec::new(), ..settings() });
        assert_eq!(config.servers, ["192.0.2.1"]);
        assert_eq!(warnings[0].0, "MissingClusterDNS");
        let nothing = of_pod(&pod(json!({})), &DnsSettings::default());
        assert_eq!(nothing, (DnsConfig::default(), Vec::new()));
    }
}
