//! The addresses and ports that one Service has at a time (`pkg/registry/core/service/ipallocator`, `portallocator`).

use std::{collections::BTreeSet, net::IpAddr, ops::RangeInclusive};

use k8s_openapi::api::core::v1::ServiceSpec;
use orchestra_core::random::Generator;

use super::{
    needs,
    ranges::{self, Family, ServiceRanges},
};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    strategy::{Claim, Subject},
};

/// The ports of nodes that services may have (`--service-node-port-range`).
const NODE_PORTS: RangeInclusive<i32> = 30000..=32767;

/// What the keys of claims begin with.
pub(super) const CLAIMS: &[&str] = &[ADDRESSES, PORTS];
const ADDRESSES: &str = "/registry/ipaddresses/";
const PORTS: &str = "/registry/nodeports/";

/// What is wrong with what the client asks for.
pub(super) fn validate(spec: &ServiceSpec, ranges: &ServiceRanges) -> Errors {
    let mut errors = Errors::new();
    for ip in addresses(spec) {
        if ip.parse().is_ok_and(|ip: IpAddr| !ranges.has(ip)) {
            let detail = "the provided network does not match the current range";
            errors.push(refused(spec, ip, detail));
        }
    }
    for (index, port) in requested_ports(spec) {
        if !NODE_PORTS.contains(&port) {
            let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
            let detail = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
            let path = Path::new("spec").child("ports").index(index).child("nodePort");
            errors.push(Error::invalid(&path, port, detail));
        }
    }
    errors
}

fn refused(spec: &ServiceSpec, ip: &str, why: &str) -> Error {
    let path = Path::new("spec").child("clusterIPs");
    Error::invalid(&path, Shown::json(&spec.cluster_ips), format!("failed to allocate IP {ip}: {why}"))
}

/// Draws the addresses and ports that are missing, none of which is `taken`; what is wrong if there are no more.
pub(super) fn assign(
    spec: &mut ServiceSpec,
    ranges: &ServiceRanges,
    taken: &BTreeSet<String>,
    generator: &Generator,
) -> Result<(), String> {
    if needs::cluster_ip(spec) && !needs::headless(spec) {
        assign_addresses(spec, ranges, taken, generator).ok_or("failed to allocate a serviceIP: range is full")?;
    }
    let mut own: BTreeSet<i32> = requested_ports(spec).map(|(_, port)| port).collect();
    own.extend(spec.health_check_node_port.filter(|port| *port != 0));
    if needs::node_ports(spec) {
        for port in spec.ports.iter_mut().flatten().filter(|port| port.node_port.unwrap_or_default() == 0) {
            let drawn = draw_port(&mut own, taken, generator);
            port.node_port = Some(drawn.ok_or("failed to allocate a nodePort: range is full")?);
        }
    }
    if needs::health_check_port(spec) && spec.health_check_node_port.unwrap_or_default() == 0 {
        let drawn = draw_port(&mut own, taken, generator);
        spec.health_check_node_port = Some(drawn.ok_or("failed to allocate a HealthCheck NodePort 0: range is full")?);
    }
    Ok(())
}

/// One address of each of the families, in their order.
fn assign_addresses(
    spec: &mut ServiceSpec,
    ranges: &ServiceRanges,
    taken: &BTreeSet<String>,
    generator: &Generator,
) -> Option<()> {
    let families: Vec<Family> = spec.ip_families.iter().flatten().filter_map(|name| Family::named(name)).collect();
    // More than one family with this policy is an error, and not the one that there is an address too many.
    let most = if spec.ip_family_policy.as_deref() == Some("SingleStack") { 1 } else { 2 };
    let addresses = spec.cluster_ips.get_or_insert_default();
    let asks_for_none = addresses.is_empty();
    for family in families.into_iter().take(most).skip(addresses.len()) {
        if ranges.of(family).is_none() {
            // An error of its own.
            break;
        }
        let is_free = |address: IpAddr| !taken.contains(&address_key(&address.to_string()));
        addresses.push(ranges.draw(family, generator, is_free)?.to_string());
    }
    // What a client says in both places must agree, which is checked later.
    if asks_for_none {
        spec.cluster_ip = addresses.first().cloned();
    }
    Some(())
}

/// A port that nobody has; `own` are those that this Service has already.
fn draw_port(own: &mut BTreeSet<i32>, taken: &BTreeSet<String>, generator: &Generator) -> Option<i32> {
    let count = u64::try_from(NODE_PORTS.end() - NODE_PORTS.start() + 1).ok()?;
    let port = |number: u64| i32::try_from(number).ok().map(|number| NODE_PORTS.start() + number);
    let is_free = |port: i32| !own.contains(&port) && !taken.contains(&port_key(port));
    let drawn = ranges::draw(count, ranges::reserved(count, 32, 16, 128), generator, |number| {
        port(number).is_some_and(is_free)
    });
    let drawn = port(drawn?)?;
    own.insert(drawn);
    Some(drawn)
}

fn address_key(ip: &str) -> String {
    format!("{ADDRESSES}{ip}")
}

fn port_key(port: i32) -> String {
    format!("{PORTS}{port}")
}

/// What the Service has that no other may have.
pub(super) fn claims(spec: &ServiceSpec, ranges: &ServiceRanges) -> Vec<Claim> {
    let path = Path::new("spec");
    let address = |ip: &str| {
        let parsed: Option<IpAddr> = ip.parse().ok();
        let family = parsed.map_or("", |ip| Family::of(ip).name());
        Claim {
            key: address_key(ip),
            taken: refused(spec, ip, "provided IP is already allocated"),
            subject: Subject {
                kind: "ClusterIP",
                shown: format!("Cluster IP [{family}]: {ip}"),
                range: "any configured Service CIDR".to_owned(),
                in_range: parsed.is_some_and(|ip| ranges.has(ip)),
            },
        }
    };
    let mut claims: Vec<Claim> = addresses(spec).map(address).collect();
    let mut seen = BTreeSet::new();
    let ports = requested_ports(spec).map(|(index, port)| (path.child("ports").index(index).child("nodePort"), port));
    let health = spec.health_check_node_port.filter(|port| *port != 0);
    let health = health.map(|port| (path.child("healthCheckNodePort"), port));
    for (path, port) in ports.chain(health) {
        // Ports of different protocols may share a number.
        if seen.insert(port) {
            claims.push(Claim {
                key: port_key(port),
                taken: Error::invalid(&path, port, "provided port is already allocated"),
                subject: Subject {
                    kind: "Port",
                    shown: format!("Port {port}"),
                    range: format!("the port range {}-{}", NODE_PORTS.start(), NODE_PORTS.end()),
                    in_range: NODE_PORTS.contains(&port),
                },
            });
        }
    }
    claims
}

fn addresses(spec: &ServiceSpec) -> impl Iterator<Item = &str> {
    let ips = spec.cluster_ips.iter().flatten().filter(|_| needs::cluster_ip(spec));
    ips.map(String::as_str).filter(|ip| !ip.is_empty() && *ip != "None")
}

fn requested_ports(spec: &ServiceSpec) -> impl Iterator<Item = (usize, i32)> {
    let ports = spec.ports.iter().flatten().enumerate();
    ports.filter_map(|(index, port)| Some((index, port.node_port.filter(|port| *port != 0)?)))
}
