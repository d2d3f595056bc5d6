//! EndpointSlices (`pkg/registry/discovery/endpointslice`).

mod columns;
mod validation;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;

use crate::apiserver::{
    field::{Errors, Path},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::{ip, name},
};

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Whose addresses need no looking over.
const CONTROLLERS: [&str; 2] = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
/// Where the name of an endpoint's node was before it had a field of its own.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// The rules of endpoint slices.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndpointSlices;

/// The row of endpoint slices.
pub fn row() -> Resource {
    new_row(EndpointSlices)
}

impl Strategy for EndpointSlices {
    type Object = EndpointSlice;
    type Wire = EndpointSlice;

    fn default(&self, slice: &mut EndpointSlice) {
        // Kubernetes' stored form does not tell an empty list from none.
        slice.endpoints.take_if(|endpoints| endpoints.is_empty());
        slice.ports.take_if(|ports| ports.is_empty());
        for endpoint in slice.endpoints.iter_mut().flatten() {
            endpoint.conditions.get_or_insert_default();
        }
        for port in slice.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, slice: &mut EndpointSlice) {
        drop_topology(slice, None);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut EndpointSlice, old: &EndpointSlice) {
        if new.endpoints != old.endpoints {
            drop_topology(new, Some(old));
        }
    }

    fn validate(&self, _ctx: &RequestContext, slice: &EndpointSlice) -> Errors {
        validation::slice(slice)
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &EndpointSlice, old: &EndpointSlice) -> Errors {
        validation::update(new, old)
    }

    fn changes_generation(&self, new: &EndpointSlice, old: &EndpointSlice) -> Option<bool> {
        let same = new.address_type == old.address_type
            && new.endpoints == old.endpoints
            && new.ports == old.ports
            && new.metadata.labels == old.metadata.labels;
        Some(!same)
    }

    fn warnings(&self, _ctx: &RequestContext, new: &EndpointSlice, old: Option<&EndpointSlice>) -> Vec<String> {
        let mut warnings = Vec::new();
        if old.is_none() && new.address_type == "FQDN" {
            warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
        }
        let manager = new.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
        if manager.is_none_or(|manager| !CONTROLLERS.contains(&manager.as_str())) {
            for (i, endpoint) in new.endpoints.iter().flatten().enumerate() {
                let path = Path::new("endpoints").index(i).child("addresses");
                let addresses = endpoint.addresses.iter().enumerate();
                warnings.extend(addresses.filter_map(|(i, address)| ip::warning(&path.index(i), address)));
            }
        }
        warnings
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, slice: &EndpointSlice, now: Timestamp) -> Vec<Value> {
        columns::cells(slice, now)
    }
}

/// Clients of this version cannot write the old topology. What it said of an endpoint's node is kept if the `old` state said it there.
fn drop_topology(slice: &mut EndpointSlice, old: Option<&EndpointSlice>) {
    let known = old.into_iter().flat_map(|old| old.endpoints.iter().flatten());
    let known: BTreeSet<&str> =
        known.filter_map(|endpoint| Some(endpoint.deprecated_topology.as_ref()?.get(HOSTNAME)?.as_str())).collect();
    for endpoint in slice.endpoints.iter_mut().flatten() {
        let said = endpoint.deprecated_topology.take().and_then(|mut topology| topology.remove(HOSTNAME));
        let said = said.filter(|node| known.contains(node.as_str()) && name::subdomain(node, false).is_none());
        endpoint.node_name = endpoint.node_name.take().or(said);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::kinds::testing::{context, object};

    #[test]
    fn the_old_topology_cannot_be_written_but_its_node_name_is_kept() {
        let endpoint = |node: &str| json!({"addresses": ["10.0.0.1"], "deprecatedTopology": {HOSTNAME: node}});
        let old: EndpointSlice = object(json!({"addressType": "IPv4", "endpoints": [endpoint("n1")]}));
        let mut new: EndpointSlice =
            object(json!({"addressType": "IPv4", "endpoints": [endpoint("n1"), endpoint("n2")]}));
        EndpointSlices.prepare_for_update(&context(), &mut new, &old);
        let endpoints = new.endpoints.unwrap_or_default();
        assert!(endpoints.iter().all(|endpoint| endpoint.deprecated_topology.is_none()));
        assert_eq!(endpoints[0].node_name.as_deref(), Some("n1"));
        assert_eq!(endpoints[1].node_name, None);
    }

    #[test]
    fn odd_addresses_are_told_except_to_those_who_put_them_right() {
        let mut slice: EndpointSlice =
            object(json!({"addressType": "IPv6", "endpoints": [{"addresses": ["2001:DB8::1"]}]}));
        let told = EndpointSlices.warnings(&context(), &slice, None);
        assert!(told[0].starts_with("endpoints[0].addresses[0]: IPv6 address \"2001:DB8::1\" should be"), "{told:?}");
        let labels = slice.metadata.labels.get_or_insert_default();
        labels.insert(MANAGED_BY.to_owned(), CONTROLLERS[0].to_owned());
        assert!(EndpointSlices.warnings(&context(), &slice, None).is_empty());
    }

    #[test]
    fn labels_count_as_desired_state() {
        let old: EndpointSlice = object(json!({"metadata": {"labels": {"a": "b"}}, "addressType": "IPv4"}));
        let mut new = old.clone();
        new.metadata.annotations.get_or_insert_default().insert("c".to_owned(), "d".to_owned());
        assert_eq!(EndpointSlices.changes_generation(&new, &old), Some(false));
        new.metadata.labels = None;
        assert_eq!(EndpointSlices.changes_generation(&new, &old), Some(true));
    }
}
