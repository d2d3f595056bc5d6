//! `pods/proxy`, `services/proxy` and `nodes/proxy`: HTTP to what listens there.

use std::{net::IpAddr, sync::Arc};

use axum::{body::Body, response::Response};
use http::Request;
use k8s_openapi::api::core::v1::{EndpointSubset, Endpoints, Pod, Service};

use super::{ApiError, Connect, Shared, Told, find_node, forward, is_upgrade, network, no_answer, no_connection};

/// The name in the path: `[scheme:]name[:port]`.
struct Place<'a> {
    name: &'a str,
    /// A number or, of a service, a name.
    port: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn parse(text: &'a str, kind: &str) -> Result<Self, ApiError> {
        let invalid = || ApiError::bad_request(format!("invalid {kind} request {text:?}"));
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match *parts.as_slice() {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return Err(invalid()),
        };
        match scheme {
            "" | "http" => {}
            "https" => return Err(ApiError::not_implemented("proxying over TLS is not supported by this server")),
            _ => return Err(invalid()),
        }
        let port = Some(port).filter(|port| !port.is_empty());
        if name.is_empty() { Err(invalid()) } else { Ok(Self { name, port }) }
    }

    fn number(&self) -> Result<Option<u16>, ApiError> {
        let parse = |port: &str| port.parse().map_err(|_| ApiError::bad_request(format!("invalid port {port:?}")));
        self.port.map(parse).transpose()
    }
}

pub(super) async fn serve(
    shared: &Arc<Shared>,
    connect: &Connect,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let path = rest(&request, connect.namespace.is_some());
    let told = if is_upgrade(request.headers()) { no_connection } else { no_answer };
    match connect.resource.plural.as_str() {
        "nodes" => to_node(shared, connect, &path, request, told).await,
        "pods" => to_pod(shared, connect, &path, request, told).await,
        "services" => to_service(shared, connect, &path, request, told).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// What of the path follows `proxy`, with the query.
fn rest(request: &Request<Body>, namespaced: bool) -> String {
    // Nothing, api, v1, [namespaces, its name,] plural, name, proxy.
    let before = if namespaced { 8 } else { 6 };
    let rest = request.uri().path().splitn(before + 1, '/').nth(before).unwrap_or_default();
    match request.uri().query() {
        Some(query) => format!("/{rest}?{query}"),
        None => format!("/{rest}"),
    }
}

async fn to_node(
    shared: &Arc<Shared>,
    connect: &Connect,
    path: &str,
    request: Request<Body>,
    told: Told,
) -> Result<Response, ApiError> {
    let place = Place::parse(&connect.name, "node")?;
    let node = find_node(shared, place.name).await?;
    let host = network::address(&node).unwrap_or_default();
    let upstream = match place.number()? {
        Some(port) if Some(port) != network::kubelet_port(&node) => {
            check(host)?;
            shared.network.dial(host, port).await
        }
        _ => shared.network.kubelet(&node).await,
    };
    let upstream = upstream.map_err(|error| told(&error))?;
    forward(shared, upstream, host, path, request, told).await
}

async fn to_pod(
    shared: &Arc<Shared>,
    connect: &Connect,
    path: &str,
    request: Request<Body>,
    told: Told,
) -> Result<Response, ApiError> {
    let place = Place::parse(&connect.name, "pod")?;
    let pod: Pod = connect.object(shared, &connect.resource, place.name).await?;
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default();
    check(address)?;
    let port = place.number()?.or_else(|| first_port(&pod)).unwrap_or(80);
    let upstream = shared.network.dial(address, port).await.map_err(|error| told(&error))?;
    forward(shared, upstream, address, path, request, told).await
}

async fn to_service(
    shared: &Arc<Shared>,
    connect: &Connect,
    path: &str,
    request: Request<Body>,
    told: Told,
) -> Result<Response, ApiError> {
    let place = Place::parse(&connect.name, "service")?;
    let name = place.name;
    let service: Service = connect.object(shared, &connect.resource, name).await?;
    let port = port_name(&service, &place)?;
    let resource = shared.registry.find("", "v1", "endpoints").ok_or_else(ApiError::no_such_path)?;
    let endpoints: Endpoints = connect.object(shared, &resource, name).await?;
    let subsets = endpoints.subsets.unwrap_or_default();
    let offers = |subset: &EndpointSubset| {
        let offered = subset.ports.iter().flatten().find(|other| other.name.as_deref().unwrap_or_default() == port)?;
        u16::try_from(offered.port).ok()
    };
    let ready = subsets.iter().filter_map(|subset| Some((subset, offers(subset)?)));
    let ready =
        ready.flat_map(|(subset, port)| subset.addresses.iter().flatten().map(move |at| (at.ip.as_str(), port)));
    let ready: Vec<_> = ready.collect();
    let chosen = shared.generator.below(u64::try_from(ready.len().max(1)).unwrap_or(1));
    let chosen = usize::try_from(chosen).ok().and_then(|chosen| ready.get(chosen));
    let none = || ApiError::nobody_serves(format!("no endpoints available for service {name:?}"));
    let (address, port) = *chosen.ok_or_else(none)?;
    check(address)?;
    let upstream = shared.network.dial(address, port).await.map_err(|error| told(&error))?;
    forward(shared, upstream, address, path, request, told).await
}

/// The name of the service's port that is asked for; of one that has a single port it may be empty.
fn port_name<'a>(service: &'a Service, place: &Place<'a>) -> Result<&'a str, ApiError> {
    let Some(text) = place.port else { return Ok("") };
    let Ok(number) = text.parse::<i32>() else { return Ok(text) };
    let mut ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let found = ports.find(|port| port.port == number);
    let none = || ApiError::nobody_serves(format!("no service port {number} found for service {:?}", place.name));
    found.map(|port| port.name.as_deref().unwrap_or_default()).ok_or_else(none)
}

fn first_port(pod: &Pod) -> Option<u16> {
    let mut ports = pod.spec.as_ref()?.containers.iter().flat_map(|container| container.ports.iter().flatten());
    u16::try_from(ports.next()?.container_port).ok()
}

/// What is this machine's own is not for clients (`IsProxyableIP`).
fn check(address: &str) -> Result<(), ApiError> {
    let is_proxyable = |address: IpAddr| {
        let link_local = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        !(address.is_loopback() || link_local || address.is_multicast() || address.is_unspecified())
    };
    match address.parse().is_ok_and(is_proxyable) {
        true => Ok(()),
        false => Err(ApiError::bad_request("address not allowed")),
    }
}
