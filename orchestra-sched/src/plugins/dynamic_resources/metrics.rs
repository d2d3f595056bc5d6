//! What is measured of devices that have to become ready and of claims for extended resources, under kube-scheduler's names.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::resource::v1::ResourceClaim;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use super::readiness;

const ALLOCATIONS: &str = "scheduler_dra_bindingconditions_allocations_total";
const WAITS: &str = "scheduler_dra_bindingconditions_wait_duration_seconds";

const CLAIMS: &str = "scheduler_resourceclaim_creates_total";

/// How the wait for devices ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
    Timeout,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
        }
    }
}

/// A pod of the profile waited so long for the devices of these claims. Each driver counts.
pub(super) fn waited(profile: &str, claims: &[ResourceClaim], outcome: Outcome, took: Duration) {
    let about = "Number of allocations using devices with BindingConditions, counted per driver per scheduling attempt";
    describe_counter!(ALLOCATIONS, about);
    let about = "Time in seconds spent waiting for BindingConditions to be satisfied during PreBind.";
    describe_histogram!(WAITS, Unit::Seconds, about);
    let drivers: BTreeSet<&str> = claims.iter().flat_map(readiness::drivers).collect();
    for driver in drivers {
        let labels =
            [("profile", profile.to_owned()), ("driver", driver.to_owned()), ("status", outcome.label().to_owned())];
        counter!(ALLOCATIONS, &labels).increment(1);
        histogram!(WAITS, &labels).record(took);
    }
}

/// A claim for extended resources was made, or was not.
pub(super) fn made(is_made: bool) {
    describe_counter!(CLAIMS, "Number of ResourceClaims creation requests within scheduler");
    counter!(CLAIMS, "status" => if is_made { "success" } else { "failure" }).increment(1);
}
