//! ResourceClaims (`pkg/registry/resource/resourceclaim`).

mod spec;
mod status;

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceClaim;
use orchestra_core::device::{allocation, reserved_for};
use serde_json::{Value, json};

pub(super) use self::spec::{Name, default as default_spec, validate as validate_spec};
use super::column::{self, text};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of claims of devices.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceClaims;

/// The row of claims of devices.
pub fn row() -> Resource {
    new_row(ResourceClaims).subresources(&[Subresource::Status])
}

impl Strategy for ResourceClaims {
    type Object = ResourceClaim;
    type Wire = ResourceClaim;

    fn default(&self, claim: &mut ResourceClaim) {
        default_spec(&mut claim.spec);
        claim.status.get_or_insert_default();
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, claim: &mut ResourceClaim) {
        claim.status = Some(Default::default());
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut ResourceClaim, old: &ResourceClaim) {
        new.status = old.status.clone();
    }

    fn validate(&self, _ctx: &RequestContext, claim: &ResourceClaim) -> Errors {
        validate_spec(&claim.spec, &Path::new("spec"))
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &ResourceClaim, old: &ResourceClaim) -> Errors {
        // As it cannot be changed, there is nothing else to say of it.
        let error = || Error::invalid(&Path::new("spec"), Shown::json(&new.spec), "field is immutable");
        (new.spec != old.spec).then(error).into_iter().collect()
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut ResourceClaim, old: &ResourceClaim) {
        new.spec = old.spec.clone();
        status::drop_deallocated(new, old);
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &ResourceClaim, old: &ResourceClaim) -> Errors {
        status::validate_update(new, old)
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, claim: &ResourceClaim, now: Timestamp) -> Vec<Value> {
        let metadata = &claim.metadata;
        vec![
            json!(metadata.name),
            json!(state(claim).join(",")),
            json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

fn state(claim: &ResourceClaim) -> Vec<&'static str> {
    let is_deleted = claim.metadata.deletion_timestamp.is_some();
    let mut states = Vec::new();
    if is_deleted {
        states.push("deleted");
    }
    if allocation(claim).is_some() {
        states.push("allocated");
        if !reserved_for(claim).is_empty() {
            states.push("reserved");
        }
    } else if !is_deleted {
        states.push("pending");
    }
    states
}

const COLUMNS: &[Column] =
    &[column::NAME, text("State", "A summary of the current state (allocated, pending, reserved, etc.)."), column::AGE];

#[cfg(test)]
mod tests;
