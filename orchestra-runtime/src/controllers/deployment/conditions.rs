//! A deployment's conditions. Unlike those of other kinds they also say when they were last updated, and one that changes
//! moves to the end.

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{DeploymentCondition, DeploymentStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

pub(super) const AVAILABLE: &str = "Available";
pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The reason of a rollout that is done.
pub(super) const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
/// The reason of a rollout that takes too long.
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
pub(super) const PAUSED: &str = "DeploymentPaused";
pub(super) const RESUMED: &str = "DeploymentResumed";

pub(super) fn new(
    kind: &str,
    status: &str,
    reason: &str,
    message: impl Into<String>,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.into()),
        last_transition_time: Some(Time(now)),
        last_update_time: Some(Time(now)),
    }
}

/// The condition of a type.
pub(super) fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Whether the condition of a type has this reason.
pub(super) fn has_reason(status: &DeploymentStatus, kind: &str, reason: &str) -> bool {
    find(status, kind).is_some_and(|condition| condition.reason.as_deref() == Some(reason))
}

/// Sets a condition, unless it says nothing new. While the status stays the same so does the time of transition.
pub(super) fn set(status: &mut DeploymentStatus, condition: DeploymentCondition) {
    let same = find(status, &condition.type_)
        .is_some_and(|old| old.status == condition.status && old.reason == condition.reason);
    if !same {
        refresh(status, condition);
    }
}

/// As [`set`], also if only the time is new.
pub(super) fn refresh(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(old) = find(status, &condition.type_).filter(|old| old.status == condition.status) {
        condition.last_transition_time = old.last_transition_time.clone();
    }
    remove(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

/// Removes the condition of a type.
pub(super) fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
        if conditions.is_empty() {
            status.conditions = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_changes_moves_to_the_end_and_keeps_its_transition() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut status = DeploymentStatus::default();
        set(&mut status, new(PROGRESSING, "True", "NewReplicaSetCreated", "", at(1)));
        set(&mut status, new(AVAILABLE, "False", "MinimumReplicasUnavailable", "", at(1)));
        set(&mut status, new(AVAILABLE, "False", "MinimumReplicasUnavailable", "", at(2)));
        set(&mut status, new(PROGRESSING, "True", "ReplicaSetUpdated", "", at(2)));
        let conditions = status.conditions.clone().unwrap();
        assert_eq!(conditions.iter().map(|c| &*c.type_).collect::<Vec<_>>(), [AVAILABLE, PROGRESSING]);
        assert_eq!(conditions[0].last_update_time, Some(Time(at(1))));
        assert_eq!(conditions[1].last_update_time, Some(Time(at(2))));
        assert_eq!(conditions[1].last_transition_time, Some(Time(at(1))));
    }
}
