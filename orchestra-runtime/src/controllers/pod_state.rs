//! What a pod's status means to those who count pods.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use orchestra_core::condition;

/// The phase; `Pending` while there is none.
pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Whether the pod has come to its end: its containers will not run again.
pub(super) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod is being deleted and not at its end yet.
pub(super) fn is_terminating(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod counts as a replica.
pub(super) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    condition::find(pod.status.as_ref()?.conditions.as_deref()?, "Ready").filter(|ready| ready.status == "True")
}

/// Whether the pod is ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some()
}

/// Since when the pod is ready, if it is and says so.
pub(super) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    ready_condition(pod)?.last_transition_time.as_ref().map(|time| time.0)
}

/// How a pod stands to the rule that it must be ready for a time before it counts as available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// Not ready.
    Unready,
    /// Ready, and available after this time if it stays so.
    In(SignedDuration),
    /// Available.
    Available,
}

/// Judges whether `pod` has been ready for `min_ready_seconds`.
pub(super) fn availability(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Availability {
    if !is_ready(pod) {
        return Availability::Unready;
    }
    if min_ready_seconds <= 0 {
        return Availability::Available;
    }
    let Some(since) = ready_since(pod) else { return Availability::Unready };
    let left = SignedDuration::from_secs(min_ready_seconds.into()) - now.duration_since(since);
    if left.is_positive() { Availability::In(left) } else { Availability::Available }
}

/// The restarts of the pod's containers: of the one that restarted most.
pub(super) fn max_restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).max().unwrap_or(0)
}

/// Whether what replica sets look at differs between two states of a pod.
pub(super) fn differs_as_replica(old: &Pod, new: &Pod) -> bool {
    is_finished(old) != is_finished(new)
        || ready_since(old) != ready_since(new)
        || is_ready(old) != is_ready(new)
        || old.metadata.deletion_timestamp.is_some() != new.metadata.deletion_timestamp.is_some()
        || old.metadata.labels != new.metadata.labels
        || old.metadata.owner_references != new.metadata.owner_references
}
