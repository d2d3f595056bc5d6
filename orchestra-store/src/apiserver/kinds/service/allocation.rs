//! The addresses and ports that one Service has at a time (`pkg/registry/core/service/ipallocator`, `portallocator`).

use std::{collections::BTreeSet, net::Ipv4Addr, ops::RangeInclusive};

use k8s_openapi::api::core::v1::ServiceSpec;
use orchestra_core::random::Generator;

use super::needs;
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    strategy::Claim,
};

/// The addresses of services: `10.96.0.0/12`.
const NETWORK: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const PREFIX_BITS: u32 = 12;
/// The first addresses are left to those who ask for one.
const RESERVED: u32 = 256;
/// The ports of nodes that services may have.
const NODE_PORTS: RangeInclusive<i32> = 30000..=32767;

/// The number of addresses, the network's own and the broadcast address among them.
const SIZE: u32 = 1 << (u32::BITS - PREFIX_BITS);

/// What is wrong with what the client asks for.
pub(super) fn validate(spec: &ServiceSpec) -> Errors {
    let path = Path::new("spec");
    let mut errors = families(spec, &path);
    for ip in addresses(spec) {
        let inside =
            ip.parse::<Ipv4Addr>().is_ok_and(|ip| (1..SIZE - 1).contains(&u32::from(ip).wrapping_sub(NETWORK)));
        if !inside {
            let detail = "the provided network does not match the current range";
            errors.push(refused(spec, ip, detail));
        }
    }
    for (index, port) in requested_ports(spec) {
        if !NODE_PORTS.contains(&port) {
            let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
            let detail = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
            errors.push(Error::invalid(&path.child("ports").index(index).child("nodePort"), port, detail));
        }
    }
    errors
}

fn families(spec: &ServiceSpec, path: &Path) -> Errors {
    let open = needs::headless(spec) && spec.selector.as_ref().is_none_or(|selector| selector.is_empty());
    if !needs::cluster_ip(spec) || open {
        return Errors::new();
    }
    if spec.ip_family_policy.as_deref() == Some("RequireDualStack") {
        let detail = "this cluster is not configured for dual-stack services";
        return vec![Error::invalid(&path.child("ipFamilyPolicy"), "RequireDualStack", detail)];
    }
    let families = spec.ip_families.iter().flatten().enumerate().filter(|(_, family)| *family != "IPv4");
    let path = path.child("ipFamilies");
    families
        .map(|(index, family)| Error::invalid(&path.index(index), family, "not configured on this cluster"))
        .collect()
}

fn refused(spec: &ServiceSpec, ip: &str, why: &str) -> Error {
    let path = Path::new("spec").child("clusterIPs");
    Error::invalid(&path, Shown::json(&spec.cluster_ips), format!("failed to allocate IP {ip}: {why}"))
}

/// Draws the addresses and ports that are missing. Whether they are free is seen when they are claimed.
pub(super) fn assign(spec: &mut ServiceSpec, generator: &Generator) {
    if needs::cluster_ip(spec) && spec.cluster_ips.as_ref().is_none_or(Vec::is_empty) {
        let span = u64::from(SIZE - 2 - RESERVED);
        // Below 2^20, so that nothing is cut off.
        let offset = RESERVED + 1 + u32::try_from(generator.below(span)).unwrap_or_default();
        let ip = Ipv4Addr::from(NETWORK + offset).to_string();
        spec.cluster_ips = Some(vec![ip.clone()]);
        spec.cluster_ip = Some(ip);
    }
    let mut taken: BTreeSet<i32> = requested_ports(spec).map(|(_, port)| port).collect();
    taken.extend(spec.health_check_node_port.filter(|port| *port != 0));
    if needs::node_ports(spec) {
        for port in spec.ports.iter_mut().flatten().filter(|port| port.node_port.unwrap_or_default() == 0) {
            port.node_port = draw(&mut taken, generator);
        }
    }
    if needs::health_check_port(spec) && spec.health_check_node_port.unwrap_or_default() == 0 {
        spec.health_check_node_port = draw(&mut taken, generator);
    }
}

/// A port that this Service does not have yet; none if it has them all.
fn draw(taken: &mut BTreeSet<i32>, generator: &Generator) -> Option<i32> {
    let free: Vec<i32> = NODE_PORTS.filter(|port| !taken.contains(port)).collect();
    let index = usize::try_from(generator.below(free.len() as u64)).ok()?;
    let port = *free.get(index)?;
    taken.insert(port);
    Some(port)
}

/// What the Service has that no other may have.
pub(super) fn claims(spec: &ServiceSpec) -> Vec<Claim> {
    let path = Path::new("spec");
    let mut claims: Vec<Claim> = addresses(spec)
        .map(|ip| Claim {
            key: format!("/registry/ipaddresses/{ip}"),
            taken: refused(spec, ip, "provided IP is already allocated"),
        })
        .collect();
    let mut seen = BTreeSet::new();
    let ports = requested_ports(spec).map(|(index, port)| (path.child("ports").index(index).child("nodePort"), port));
    let health = spec.health_check_node_port.filter(|port| *port != 0);
    let health = health.map(|port| (path.child("healthCheckNodePort"), port));
    for (path, port) in ports.chain(health) {
        // Ports of different protocols may share a number.
        if seen.insert(port) {
            claims.push(Claim {
                key: format!("/registry/nodeports/{port}"),
                taken: Error::invalid(&path, port, "provided port is already allocated"),
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
