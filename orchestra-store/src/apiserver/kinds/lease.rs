//! Leases (`pkg/registry/coordination/lease`).

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};

use super::column;
use crate::apiserver::{
    age,
    field::{Error, Errors, Path},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of leases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leases;

/// The row of leases.
pub fn row() -> Resource {
    new_row(Leases).creates_on_update().conditional_updates()
}

impl Strategy for Leases {
    type Object = Lease;
    type Wire = Lease;

    fn default(&self, lease: &mut Lease) {
        lease.spec.get_or_insert_default();
    }

    fn validate(&self, _ctx: &RequestContext, lease: &Lease) -> Errors {
        let mut errors = Errors::new();
        let Some(spec) = &lease.spec else { return errors };
        let path = Path::new("spec");
        if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            errors.push(Error::invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
        }
        if let Some(transitions) = spec.lease_transitions.filter(|transitions| *transitions < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(&path.child("leaseTransitions"), transitions, detail));
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, lease: &Lease, now: Timestamp) -> Vec<Value> {
        let metadata = &lease.metadata;
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        vec![json!(metadata.name), json!(holder), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Holder",
        kind: "string",
        format: "",
        description: "holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader Election is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name field.",
        priority: 0,
    },
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn durations_are_positive() {
        let lease: Lease = object(json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}));
        assert_eq!(
            texts(&Leases.validate(&context(), &lease)),
            [
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            ]
        );
    }
}
