//! Devices that have to become ready before their pod is bound (KEP-5007).

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::resource::v1::{AllocatedDeviceStatus, DeviceRequestAllocationResult, ResourceClaim};
use orchestra_core::{condition, device::allocation};

/// The devices of the claim that have binding conditions.
fn conditional(claim: &ResourceClaim) -> impl Iterator<Item = &DeviceRequestAllocationResult> {
    let devices = allocation(claim).and_then(|allocation| allocation.devices.as_ref());
    let results = devices.into_iter().flat_map(|devices| devices.results.iter().flatten());
    results.filter(|result| result.binding_conditions.as_ref().is_some_and(|conditions| !conditions.is_empty()))
}

/// Whether a device of the claim has binding conditions.
pub(super) fn has_conditions(claim: &ResourceClaim) -> bool {
    conditional(claim).next().is_some()
}

/// The drivers of such devices.
pub(super) fn drivers(claim: &ResourceClaim) -> BTreeSet<&str> {
    conditional(claim).map(|result| result.driver.as_str()).collect()
}

/// Whether the claim is allocated, and all its devices are ready.
///
/// # Errors
/// A device will not become ready: what the driver says of that, in kube-scheduler's words.
pub(super) fn is_ready(claim: &ResourceClaim) -> Result<bool, String> {
    if allocation(claim).is_none() {
        return Ok(false);
    }
    for result in conditional(claim) {
        let Some(status) = status_of(claim, result) else { return Ok(false) };
        let conditions = status.conditions.as_deref().unwrap_or_default();
        let find = |kind: &String| condition::find(conditions, kind).filter(|condition| condition.status == "True");
        if let Some(failed) = result.binding_failure_conditions.iter().flatten().find_map(find) {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            let (reason, message) = (&failed.reason, &failed.message);
            return Err(format!("claim {name} binding failed: reason={reason}, message={message:?}"));
        }
        if result.binding_conditions.iter().flatten().any(|kind| find(kind).is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the driver says of a device that the claim has.
fn status_of<'a>(claim: &'a ResourceClaim, of: &DeviceRequestAllocationResult) -> Option<&'a AllocatedDeviceStatus> {
    let mut all = claim.status.iter().flat_map(|status| status.devices.iter().flatten());
    all.find(|status| (&status.driver, &status.pool, &status.device) == (&of.driver, &of.pool, &of.device))
}

/// How long the claim's devices may still take to become ready, if they have to and it is known since when they do.
pub(super) fn time_left(claim: &ResourceClaim, timeout: Duration, now: Timestamp) -> Option<Duration> {
    let since = allocation(claim).filter(|_| has_conditions(claim))?.allocation_timestamp.as_ref()?;
    let passed = now.duration_since(since.0);
    let left = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX).saturating_sub(passed);
    Some(Duration::try_from(left).unwrap_or_default())
}

/// Whether they took longer.
pub(super) fn is_overdue(claim: &ResourceClaim, timeout: Duration, now: Timestamp) -> bool {
    time_left(claim, timeout, now).is_some_and(|left| left.is_zero())
}
