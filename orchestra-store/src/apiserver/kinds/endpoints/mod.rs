//! Endpoints (`pkg/registry/core/endpoint`), the old form of EndpointSlices.

mod columns;
mod validation;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Endpoints as Object;
use orchestra_core::endpoint_subsets;
use serde_json::Value;

use crate::apiserver::{
    field::{Errors, Path},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::ip,
};

/// The rules of endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endpoints;

/// The row of endpoints.
pub fn row() -> Resource {
    new_row(Endpoints)
        .short_names(&["ep"])
        .stored_as("services/endpoints")
        .creates_on_update()
        .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
}

impl Strategy for Endpoints {
    type Object = Object;
    type Wire = Object;

    fn default(&self, endpoints: &mut Object) {
        endpoints.subsets.take_if(|subsets| subsets.is_empty());
        for subset in endpoints.subsets.iter_mut().flatten() {
            for port in subset.ports.iter_mut().flatten() {
                port.name.take_if(|name| name.is_empty());
                let protocol = port.protocol.get_or_insert_default();
                if protocol.is_empty() {
                    "TCP".clone_into(protocol);
                }
            }
        }
    }

    fn validate(&self, _ctx: &RequestContext, endpoints: &Object) -> Errors {
        validation::subsets(endpoints.subsets.as_deref().unwrap_or_default())
    }

    fn validate_update(&self, ctx: &RequestContext, new: &Object, old: &Object) -> Errors {
        if new.subsets == old.subsets { Errors::new() } else { self.validate(ctx, new) }
    }

    fn canonicalize(&self, endpoints: &mut Object) {
        if let Some(subsets) = &mut endpoints.subsets {
            *subsets = endpoint_subsets::repack(subsets);
        }
    }

    fn warnings(&self, _ctx: &RequestContext, new: &Object, _old: Option<&Object>) -> Vec<String> {
        let mut warnings = Vec::new();
        for (i, subset) in new.subsets.iter().flatten().enumerate() {
            let path = Path::new("subsets").index(i);
            for (field, list) in [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)]
            {
                let list = list.iter().flatten().enumerate();
                let at = |i| path.child(field).index(i).child("ip");
                warnings.extend(list.filter_map(|(i, address)| ip::warning(&at(i), &address.ip)));
            }
        }
        warnings
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, endpoints: &Object, now: Timestamp) -> Vec<Value> {
        columns::cells(endpoints, now)
    }
}
