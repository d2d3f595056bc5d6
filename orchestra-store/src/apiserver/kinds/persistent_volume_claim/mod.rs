//! PersistentVolumeClaims (`pkg/registry/core/persistentvolumeclaim`).

mod columns;
mod data_source;
mod validation;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use orchestra_core::{persistent_volume::requested, quantity::Quantity};
use serde_json::Value;

use super::{access_modes::FILESYSTEM, pod};
use crate::apiserver::{
    field::Errors,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of claims of volumes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PersistentVolumeClaims;

/// The row of claims of volumes.
pub fn row() -> Resource {
    new_row(PersistentVolumeClaims).short_names(&["pvc"]).subresources(&[Subresource::Status]).returns_deleted()
}

/// How much storage a claim asks for; `None` if it does not say.
fn amount(spec: &PersistentVolumeClaimSpec) -> Option<Quantity> {
    spec.resources.as_ref()?.requests.as_ref()?.get("storage")?.try_into().ok()
}

impl Strategy for PersistentVolumeClaims {
    type Object = PersistentVolumeClaim;
    type Wire = PersistentVolumeClaim;

    fn default(&self, claim: &mut PersistentVolumeClaim) {
        let spec = claim.spec.get_or_insert_default();
        spec.volume_mode.get_or_insert_with(|| FILESYSTEM.to_owned());
        let resources = spec.resources.get_or_insert_default();
        pod::resource_list(&mut resources.limits);
        pod::resource_list(&mut resources.requests);
        pending(claim);
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, claim: &mut PersistentVolumeClaim) {
        claim.status = None;
        pending(claim);
        if let Some(spec) = &mut claim.spec {
            data_source::drop_unknown(spec);
            data_source::agree(spec);
        }
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut PersistentVolumeClaim, old: &PersistentVolumeClaim) {
        new.status = old.status.clone();
        if let Some(spec) = &mut new.spec {
            // As at the creation: older clients leave out the newer field, and what was dropped then is still in their manifests.
            if old.spec.as_ref().is_none_or(|spec| spec.data_source.is_none()) {
                data_source::drop_unknown(spec);
            }
            data_source::agree(spec);
        }
    }

    fn validate(&self, _ctx: &RequestContext, claim: &PersistentVolumeClaim) -> Errors {
        validation::validate(claim)
    }

    fn validate_update(
        &self,
        _ctx: &RequestContext,
        new: &PersistentVolumeClaim,
        old: &PersistentVolumeClaim,
    ) -> Errors {
        validation::validate_update(new, old)
    }

    fn prepare_for_status_update(
        &self,
        _ctx: &RequestContext,
        new: &mut PersistentVolumeClaim,
        old: &PersistentVolumeClaim,
    ) {
        new.spec = old.spec.clone();
    }

    fn validate_status_update(
        &self,
        _ctx: &RequestContext,
        new: &PersistentVolumeClaim,
        _old: &PersistentVolumeClaim,
    ) -> Errors {
        validation::validate_status(new)
    }

    fn warnings(
        &self,
        _ctx: &RequestContext,
        new: &PersistentVolumeClaim,
        _old: Option<&PersistentVolumeClaim>,
    ) -> Vec<String> {
        let fraction = Some(requested(new)).filter(|amount| !amount.is_whole());
        let warning = fraction.map(|amount| {
            format!(
                "spec.resources.requests[storage]: fractional byte value \"{amount}\" is invalid, must be an integer"
            )
        });
        warning.into_iter().collect()
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, claim: &PersistentVolumeClaim, now: Timestamp) -> Vec<Value> {
        columns::cells(claim, now)
    }
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn pending(claim: &mut PersistentVolumeClaim) {
    let phase = claim.status.get_or_insert_default().phase.get_or_insert_default();
    if phase.is_empty() {
        "Pending".clone_into(phase);
    }
}

#[cfg(test)]
mod tests;
