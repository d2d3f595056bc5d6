//! What a port's EndpointSlices say.

use std::{collections::BTreeMap, net::SocketAddr};

use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointHints, EndpointSlice};

use super::super::{Family, Protocol, ProxyNode};

/// One endpoint of one port of a Service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Endpoint<'a> {
    pub(super) address: SocketAddr,
    /// Whether it is on this node.
    pub(super) local: bool,
    /// Whether it may be on this node: it is, or nobody knows where it is.
    pub(super) may_be_local: bool,
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) terminating: bool,
    hints: Option<&'a EndpointHints>,
}

impl Endpoint<'_> {
    /// The last resort of a Service that has no ready endpoint.
    pub(super) fn serves_until_the_end(&self) -> bool {
        self.serving && self.terminating
    }

    /// Whether it is meant for clients on `node`; `None` if nothing says.
    pub(super) fn for_node(&self, node: &str) -> Option<bool> {
        let nodes = self.hints.and_then(|hints| hints.for_nodes.as_deref()).filter(|nodes| !nodes.is_empty())?;
        Some(nodes.iter().any(|hint| hint.name == node))
    }

    /// Whether it is meant for clients in `zone`; `None` if nothing says.
    pub(super) fn for_zone(&self, zone: Option<&str>) -> Option<bool> {
        let zones = self.hints.and_then(|hints| hints.for_zones.as_deref()).filter(|zones| !zones.is_empty())?;
        Some(zones.iter().any(|hint| Some(hint.name.as_str()) == zone))
    }
}

/// The endpoints of the port with this name and protocol, each once, in order of address. An endpoint that several slices have counts
/// as local if one of them says so. Slices of host names and ports without a number say nothing to a proxy.
pub(super) fn gather<'a>(
    slices: &[&'a EndpointSlice],
    family: Family,
    port: &str,
    protocol: Protocol,
    node: &ProxyNode,
) -> Vec<Endpoint<'a>> {
    let mut all: BTreeMap<SocketAddr, Endpoint<'a>> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.address_type == family.address_type()) {
        let numbers = slice.ports.iter().flatten().filter(|told| {
            told.name.as_deref().unwrap_or_default() == port && Protocol::of(told.protocol.as_deref()) == Some(protocol)
        });
        for number in numbers.filter_map(|told| told.port.and_then(|number| u16::try_from(number).ok())) {
            for told in slice.endpoints.iter().flatten() {
                let Some(endpoint) = read(told, number, family, node) else { continue };
                if endpoint.local || !all.contains_key(&endpoint.address) {
                    all.insert(endpoint.address, endpoint);
                }
            }
        }
    }
    all.into_values().collect()
}

/// Only the first address counts: all of an endpoint's are of the same thing.
fn read<'a>(told: &'a SliceEndpoint, port: u16, family: Family, node: &ProxyNode) -> Option<Endpoint<'a>> {
    let address = told.addresses.first()?.parse().ok().filter(|address| Family::of(*address) == family)?;
    let conditions = told.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let local = told.node_name.as_deref() == Some(node.name.as_str());
    Some(Endpoint {
        address: SocketAddr::new(address, port),
        local,
        may_be_local: local || told.node_name.is_none(),
        ready,
        serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(ready),
        terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
        hints: told.hints.as_ref(),
    })
}
