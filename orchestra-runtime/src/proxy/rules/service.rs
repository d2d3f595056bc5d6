//! From one Service and its EndpointSlices to its rules.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{Service, ServicePort, ServiceSpec},
    discovery::v1::EndpointSlice,
};
use orchestra_core::{ObjectKey, container_runtime::Cidr};

use super::{
    super::{Family, Protocol, ProxyNode},
    choose::{Choice, Uses, choose},
    endpoints::{Endpoint, gather},
    port::{Front, FrontRule, Policy, PortKey, PortRules, Target},
};

/// Who has this label, whatever its value, is served by another proxy, or by none.
const LEFT_TO_OTHERS: [&str; 2] = ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"];

/// How long session affinity lasts unless the Service tells (3 hours).
const AFFINITY: Duration = Duration::from_secs(10_800);

/// What one Service is to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRules {
    /// Each port in each family that has a cluster IP, in the order of the Service.
    pub ports: Vec<(PortKey, Arc<PortRules>)>,
    /// The health check that load balancers ask which nodes have endpoints.
    pub health_check: Option<HealthCheck>,
}

/// The health check of a Service of type LoadBalancer with the external policy `Local`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The port of the node that answers.
    pub port: u16,
    /// How many ready endpoints this node has.
    pub local_endpoints: usize,
}

/// The rules of `service` on `node`, with `slices` its EndpointSlices. Nothing but the arguments is looked at: the same ones give the same rules.
///
/// None for a Service without cluster IP (headless, ExternalName), and for one with the label `service.kubernetes.io/service-proxy-name`
/// or `service.kubernetes.io/headless`.
pub fn service_rules(service: &Service, slices: &[&EndpointSlice], node: &ProxyNode) -> ServiceRules {
    let Some(spec) = service.spec.as_ref().filter(|spec| is_proxied(service, spec)) else {
        return ServiceRules::default();
    };
    let slices: Vec<_> =
        slices.iter().copied().filter(|slice| !left_to_others(slice.metadata.labels.as_ref())).collect();
    let key = ObjectKey::of(service);
    let mut rules = ServiceRules::default();
    let mut local_addresses = BTreeSet::new();
    for family in Family::ALL {
        let Some(addresses) = Addresses::of(service, spec, family) else { continue };
        for port in spec.ports.iter().flatten() {
            let Some(protocol) = Protocol::of(port.protocol.as_deref()) else { continue };
            let name = port.name.as_deref().unwrap_or_default();
            let endpoints = gather(&slices, family, name, protocol, node);
            local_addresses.extend(endpoints.iter().filter(|e| e.ready && e.local).map(|e| e.address.ip()));
            if let Some(port_rules) = port_rules(spec, port, protocol, &addresses, &endpoints, node) {
                let key = PortKey { service: key.clone(), port: name.into(), protocol, family };
                rules.ports.push((key, Arc::new(port_rules)));
            }
        }
    }
    rules.health_check =
        health_check_port(spec).map(|port| HealthCheck { port, local_endpoints: local_addresses.len() });
    rules
}

fn is_proxied(service: &Service, spec: &ServiceSpec) -> bool {
    let has_address = spec.cluster_ip.as_deref().is_some_and(|address| !address.is_empty() && address != "None");
    has_address && spec.type_.as_deref() != Some("ExternalName") && !left_to_others(service.metadata.labels.as_ref())
}

fn left_to_others(labels: Option<&std::collections::BTreeMap<String, String>>) -> bool {
    labels.is_some_and(|labels| LEFT_TO_OTHERS.iter().any(|label| labels.contains_key(*label)))
}

fn is_local(policy: Option<&str>) -> bool {
    policy == Some("Local")
}

/// Only where traffic comes in from outside does the external policy mean anything.
fn external_policy(spec: &ServiceSpec) -> Policy {
    let from_outside = matches!(spec.type_.as_deref(), Some("LoadBalancer" | "NodePort"))
        || spec.external_ips.as_ref().is_some_and(|addresses| !addresses.is_empty());
    if from_outside && is_local(spec.external_traffic_policy.as_deref()) { Policy::Local } else { Policy::Cluster }
}

fn health_check_port(spec: &ServiceSpec) -> Option<u16> {
    let needed = spec.type_.as_deref() == Some("LoadBalancer") && is_local(spec.external_traffic_policy.as_deref());
    let port = spec.health_check_node_port.filter(|_| needed)?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The addresses of a Service in one family.
struct Addresses {
    cluster_ip: IpAddr,
    external_ips: Vec<IpAddr>,
    /// The load balancer's, if it hands packets on with this address as their destination (`ipMode: VIP`).
    vips: Vec<IpAddr>,
    sources: Vec<Cidr>,
}

impl Addresses {
    fn of(service: &Service, spec: &ServiceSpec, family: Family) -> Option<Self> {
        let in_family = |text: &String| text.parse().ok().filter(|address| Family::of(*address) == family);
        let told = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
        let ingress = service.status.iter().flat_map(|status| &status.load_balancer);
        let ingress = ingress.flat_map(|balancer| balancer.ingress.iter().flatten());
        let vips = ingress.filter(|ingress| ingress.ip_mode.as_deref().is_none_or(|mode| mode == "VIP"));
        let sources = spec.load_balancer_source_ranges.iter().flatten();
        let sources = sources.filter_map(|range| range.trim().parse::<Cidr>().ok());
        Some(Self {
            cluster_ip: told.filter_map(in_family).next()?,
            external_ips: spec.external_ips.iter().flatten().filter_map(in_family).collect(),
            vips: vips.filter_map(|ingress| ingress.ip.as_ref()).filter_map(in_family).collect(),
            sources: sources.filter(|range| Family::of(range.first()) == family).collect(),
        })
    }

    /// Who may use the VIPs. A node that may use them comes with the VIP itself as its source, where that is an address of the node.
    fn admitted(&self, node: &ProxyNode) -> Vec<Cidr> {
        let mut admitted = self.sources.clone();
        if node.addresses.iter().any(|address| self.sources.iter().any(|range| range.contains(*address))) {
            admitted.extend(self.vips.iter().filter_map(|vip| Cidr::new(*vip, if vip.is_ipv4() { 32 } else { 128 })));
        }
        without_contained(admitted)
    }
}

/// nftables refuses sets of ranges that overlap; of two ranges that do, one contains the other.
pub(in super::super) fn without_contained(mut ranges: Vec<Cidr>) -> Vec<Cidr> {
    ranges.sort_by_key(|range| (range.prefix(), range.first()));
    let mut widest: Vec<Cidr> = Vec::new();
    for range in ranges {
        if !widest.iter().any(|wide| wide.contains(range.first())) {
            widest.push(range);
        }
    }
    widest
}

fn port_rules(
    spec: &ServiceSpec,
    port: &ServicePort,
    protocol: Protocol,
    addresses: &Addresses,
    endpoints: &[Endpoint<'_>],
    node: &ProxyNode,
) -> Option<PortRules> {
    let number = u16::try_from(port.port).ok()?;
    let node_port = port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let internal = if is_local(spec.internal_traffic_policy.as_deref()) { Policy::Local } else { Policy::Cluster };
    let external = external_policy(spec);
    let from_outside = node_port.is_some() || !addresses.external_ips.is_empty() || !addresses.vips.is_empty();
    // Under the external policy Local, pods and the node itself still go to any endpoint.
    let uses = Uses {
        cluster: internal == Policy::Cluster || from_outside,
        local: internal == Policy::Local || (external == Policy::Local && from_outside),
    };
    let choice = choose(endpoints, uses, node);

    let front = |address, port| Front { address, protocol, port };
    let rule = |front, target, firewalled| FrontRule { front, target, firewalled, shadowed: false };
    let outside = if choice.any { Target::External(external) } else { Target::Reject };
    let firewalled = !addresses.sources.is_empty();
    let mut fronts = vec![rule(front(Some(addresses.cluster_ip), number), internal_target(internal, &choice), false)];
    fronts.extend(addresses.external_ips.iter().map(|ip| rule(front(Some(*ip), number), outside, false)));
    fronts.extend(addresses.vips.iter().map(|ip| rule(front(Some(*ip), number), outside, firewalled)));
    fronts.extend(node_port.map(|port| rule(front(None, port), outside, false)));
    without_repeated(&mut fronts);

    let affinity = spec.session_affinity.as_deref() == Some("ClientIP");
    let may_loop = |endpoint: &&Endpoint<'_>| {
        endpoint.may_be_local
            && (choice.cluster.binary_search(&endpoint.address).is_ok()
                || choice.local.binary_search(&endpoint.address).is_ok())
    };
    Some(PortRules {
        cluster_ip: addresses.cluster_ip,
        loops: distinct(endpoints.iter().filter(may_loop)),
        serving: distinct(endpoints.iter().filter(|endpoint| protocol == Protocol::Udp && endpoint.serving)),
        fronts,
        cluster: choice.cluster,
        local: choice.local,
        affinity: affinity.then(|| affinity_timeout(spec)),
        sources: if firewalled && !addresses.vips.is_empty() { addresses.admitted(node) } else { Vec::new() },
    })
}

fn internal_target(policy: Policy, choice: &Choice) -> Target {
    match policy {
        _ if !choice.any => Target::Reject,
        Policy::Local if choice.local.is_empty() => Target::Drop,
        policy => Target::Endpoints(policy),
    }
}

/// An address may be told twice, as an external IP and as the load balancer's; the first counts, but for the firewall.
fn without_repeated(fronts: &mut Vec<FrontRule>) {
    let mut seen: Vec<FrontRule> = Vec::with_capacity(fronts.len());
    for rule in fronts.drain(..) {
        match seen.iter_mut().find(|other| other.front == rule.front) {
            Some(other) => other.firewalled |= rule.firewalled,
            None => seen.push(rule),
        }
    }
    *fronts = seen;
}

fn affinity_timeout(spec: &ServiceSpec) -> Duration {
    let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = client_ip.and_then(|config| config.timeout_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.filter(|seconds| *seconds > 0).map_or(AFFINITY, Duration::from_secs)
}

/// Endpoints are in order of address, so equal ones are neighbours.
fn distinct<'a>(endpoints: impl Iterator<Item = &'a Endpoint<'a>>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = endpoints.map(|endpoint| endpoint.address.ip()).collect();
    addresses.dedup();
    addresses
}
