use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use k8s_openapi::{
    api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{NAME, NAMESPACE, service::PORTS};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Whose slices these are. Controllers leave those of others alone.
const MANAGER: &str = "cluster-dns.orchestra";
/// The label that says of which server a slice is.
pub(super) const SERVER: &str = "cluster-dns.orchestra/server";

/// The addresses by which pods reach a server that listens on `listened`: those that are one machine's and can be endpoints, and
/// `advertised` where it listens on all.
pub(in crate::dns) fn reachable(listened: &[SocketAddr], advertised: &[IpAddr]) -> Vec<SocketAddr> {
    let mut endpoints = Vec::new();
    for address in listened {
        if address.ip().is_unspecified() {
            // The one of IPv6 takes IPv4 too.
            let served = advertised.iter().filter(|ip| ip.is_ipv4() || address.is_ipv6());
            endpoints.extend(served.map(|ip| SocketAddr::new(*ip, address.port())));
        } else {
            endpoints.push(*address);
        }
    }
    endpoints.retain(|endpoint| is_endpoint(endpoint.ip()));
    endpoints.sort_unstable();
    endpoints.dedup();
    endpoints
}

/// What the API server lets endpoints have.
fn is_endpoint(address: IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// What tells the server with these endpoints from others: it has the same name after a restart.
pub(super) fn server(endpoints: &[SocketAddr]) -> String {
    let texts: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
    // FNV-1a.
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:08x}", texts.join(",").bytes().fold(0x811c_9dc5, mix))
}

/// The slices for `endpoints`: one for each family and port.
pub(super) fn slices(endpoints: &[SocketAddr]) -> Vec<EndpointSlice> {
    let server = server(endpoints);
    let groups: BTreeSet<(bool, u16)> =
        endpoints.iter().map(|endpoint| (endpoint.is_ipv6(), endpoint.port())).collect();
    let slice = |(is_ipv6, port): (bool, u16)| {
        let family = if is_ipv6 { "IPv6" } else { "IPv4" };
        let of_group = endpoints.iter().filter(|endpoint| (endpoint.is_ipv6(), endpoint.port()) == (is_ipv6, port));
        EndpointSlice {
            metadata: metadata(format!("{NAME}-{}-{port}-{server}", family.to_ascii_lowercase()), &server),
            address_type: family.to_owned(),
            endpoints: Some(of_group.map(|address| endpoint(address.ip())).collect()),
            ports: Some(ports(port)),
        }
    };
    groups.into_iter().map(slice).collect()
}

fn metadata(name: String, server: &str) -> ObjectMeta {
    let labels = [(SERVICE_NAME, NAME), (MANAGED_BY, MANAGER), ("k8s-app", NAME), (SERVER, server)];
    let labels: BTreeMap<_, _> = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ObjectMeta {
        namespace: Some(NAMESPACE.to_owned()),
        name: Some(name),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

fn endpoint(address: IpAddr) -> Endpoint {
    let conditions = EndpointConditions { ready: Some(true), serving: Some(true), terminating: Some(false) };
    Endpoint { addresses: vec![address.to_string()], conditions: Some(conditions), ..Endpoint::default() }
}

fn ports(number: u16) -> Vec<EndpointPort> {
    let port = |(name, protocol): (&str, &str)| EndpointPort {
        name: Some(name.to_owned()),
        port: Some(number.into()),
        protocol: Some(protocol.to_owned()),
        ..EndpointPort::default()
    };
    PORTS.into_iter().map(port).collect()
}

/// Whether it is one of these slices, of this server or of another.
pub(super) fn is_published(slice: &EndpointSlice) -> bool {
    let labels = slice.metadata.labels.as_ref();
    let is = |key, value| labels.and_then(|labels| labels.get(key)).is_some_and(|found| found == value);
    slice.metadata.namespace.as_deref() == Some(NAMESPACE) && is(SERVICE_NAME, NAME) && is(MANAGED_BY, MANAGER)
}

/// Whether `found` has to be made like `desired`.
pub(super) fn differ(found: &EndpointSlice, desired: &EndpointSlice) -> bool {
    let metadata = |slice: &EndpointSlice| (slice.metadata.labels.clone(), slice.metadata.owner_references.clone());
    metadata(found) != metadata(desired) || found.endpoints != desired.endpoints || found.ports != desired.ports
}
