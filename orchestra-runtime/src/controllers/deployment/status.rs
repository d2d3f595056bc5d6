//! A deployment's status, from its replica sets, and how its rollout gets on.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};

use super::{
    bounds::Bounds,
    conditions::{self, AVAILABLE, NEW_REPLICA_SET_AVAILABLE, PROGRESSING, REPLICA_FAILURE, TIMED_OUT},
    sets::{self, Sets},
};

/// The status that the replica sets make, conditions about the rollout left as they are.
pub(super) fn compute(deployment: &Deployment, sets: &Sets, now: Timestamp) -> DeploymentStatus {
    let all = sets.all();
    let sum = |count: fn(&ReplicaSet) -> i32| all.iter().map(|set| count(set)).sum::<i32>();
    let available = sum(sets::available);
    let ready = sum(|set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0));
    let terminating = all.iter().map(|set| set.status.as_ref().and_then(|status| status.terminating_replicas));
    let count = |count: i32| (count != 0).then_some(count);
    let old = deployment.status.clone().unwrap_or_default();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: count(sum(sets::actual)),
        updated_replicas: count(sets.new.as_ref().map_or(0, |new| sets::actual(new))),
        ready_replicas: count(ready),
        available_replicas: count(available),
        unavailable_replicas: count((sum(sets::replicas) - available).max(0)),
        // Unknown if one set does not say.
        terminating_replicas: terminating.sum(),
        collision_count: old.collision_count,
        conditions: old.conditions,
    };
    let condition = if available >= Bounds::of(deployment).least() {
        let message = "Deployment has minimum availability.";
        conditions::new(AVAILABLE, "True", "MinimumReplicasAvailable", message, now)
    } else {
        let message = "Deployment does not have minimum availability.";
        conditions::new(AVAILABLE, "False", "MinimumReplicasUnavailable", message, now)
    };
    conditions::set(&mut status, condition);
    status
}

/// As [`compute`], with what is to be said about the rollout.
pub(super) fn compute_rollout(deployment: &Deployment, sets: &Sets, now: Timestamp) -> DeploymentStatus {
    let mut status = compute(deployment, sets, now);
    let old = deployment.status.clone().unwrap_or_default();
    if deadline(deployment).is_none() {
        conditions::remove(&mut status, PROGRESSING);
    } else if !was_complete(&old, &status) {
        set_progress(deployment, sets, &old, &mut status, now);
    }
    match replica_failure(sets) {
        Some(failure) => conditions::set(&mut status, failure),
        None => conditions::remove(&mut status, REPLICA_FAILURE),
    }
    status
}

/// A rollout that was done stays so, whatever becomes of its pods later, until the template changes.
fn was_complete(old: &DeploymentStatus, status: &DeploymentStatus) -> bool {
    status.replicas == status.updated_replicas && conditions::has_reason(old, PROGRESSING, NEW_REPLICA_SET_AVAILABLE)
}

fn set_progress(
    deployment: &Deployment,
    sets: &Sets,
    old: &DeploymentStatus,
    status: &mut DeploymentStatus,
    now: Timestamp,
) {
    let subject = match &sets.new {
        Some(set) => format!("ReplicaSet {:?}", set.metadata.name.as_deref().unwrap_or_default()),
        None => format!("Deployment {:?}", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        conditions::set(status, conditions::new(PROGRESSING, "True", NEW_REPLICA_SET_AVAILABLE, message, now));
    } else if has_progressed(old, status) {
        let message = format!("{subject} is progressing.");
        conditions::refresh(status, conditions::new(PROGRESSING, "True", "ReplicaSetUpdated", message, now));
    } else if has_timed_out(deployment, status, now) {
        let message = format!("{subject} has timed out progressing.");
        conditions::set(status, conditions::new(PROGRESSING, "False", TIMED_OUT, message, now));
    }
}

/// Whether all pods are of the present template and available, and no others are left.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = Bounds::of(deployment).replicas;
    let is_wanted = |count: Option<i32>| count.unwrap_or(0) == wanted;
    is_wanted(status.updated_replicas)
        && is_wanted(status.replicas)
        && is_wanted(status.available_replicas)
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(old: &DeploymentStatus, status: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(status.updated_replicas) > count(old.updated_replicas)
        || outdated(status) < outdated(old)
        || count(status.ready_replicas) > count(old.ready_replicas)
        || count(status.available_replicas) > count(old.available_replicas)
}

/// How long a rollout may go without progress, if there is a limit.
pub(super) fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (seconds != i32::MAX).then(|| SignedDuration::from_secs(seconds.into()))
}

/// The time left until the deadline; negative if it has passed.
fn time_left(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<SignedDuration> {
    let updated = conditions::find(status, PROGRESSING)?.last_update_time.as_ref()?.0;
    Some(deadline(deployment)? - now.duration_since(updated))
}

fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    if conditions::has_reason(status, PROGRESSING, NEW_REPLICA_SET_AVAILABLE) {
        return false;
    }
    conditions::has_reason(status, PROGRESSING, TIMED_OUT)
        || time_left(deployment, status, now).is_some_and(|left| left.is_negative())
}

/// When to look again whether the rollout got stuck.
pub(super) fn check_after(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    if is_complete(deployment, status) || conditions::has_reason(status, PROGRESSING, TIMED_OUT) {
        return None;
    }
    // Times in objects are whole seconds: one more, to be past the deadline for sure.
    let left = time_left(deployment, status, now)? + SignedDuration::from_secs(1);
    Some(Duration::try_from(left).unwrap_or_default().max(Duration::from_secs(1)))
}

/// Why pods cannot be created or deleted: what the new set says, or else any other.
fn replica_failure(sets: &Sets) -> Option<DeploymentCondition> {
    let failure = |set: &ReplicaSet| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        let failure = conditions.iter().find(|condition| condition.type_ == REPLICA_FAILURE)?;
        Some(DeploymentCondition {
            type_: failure.type_.clone(),
            status: failure.status.clone(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
            last_transition_time: failure.last_transition_time.clone(),
            last_update_time: failure.last_transition_time.clone(),
        })
    };
    sets.new.iter().chain(&sets.old).find_map(|set| failure(set))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::sets::testing::set, *};

    fn deployment(replicas: i32) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "generation": 1},
            "spec": {"replicas": replicas, "progressDeadlineSeconds": 600, "selector": {}, "template": {}},
        }))
        .unwrap()
    }

    fn step(deployment: &mut Deployment, sets: &Sets, second: i64) -> (String, String) {
        let now = Timestamp::from_second(second).unwrap();
        let status = compute_rollout(deployment, sets, now);
        let reason = |kind| conditions::find(&status, kind).and_then(|c| c.reason.clone()).unwrap_or_default();
        let reasons = (reason(AVAILABLE), reason(PROGRESSING));
        deployment.status = Some(status);
        reasons
    }

    #[test]
    fn a_rollout_goes_from_created_to_available() {
        let mut deployment = deployment(2);
        let sets = |replicas, available| Sets { new: Some(set("new", 1, replicas, available)), old: vec![] };
        let reasons = step(&mut deployment, &sets(2, 0), 1);
        assert_eq!(reasons, ("MinimumReplicasUnavailable".into(), "ReplicaSetUpdated".into()));
        let reasons = step(&mut deployment, &sets(2, 2), 2);
        assert_eq!(reasons, ("MinimumReplicasAvailable".into(), NEW_REPLICA_SET_AVAILABLE.into()));
        // A pod that fails later does not make the rollout unfinished.
        let reasons = step(&mut deployment, &sets(2, 1), 5000);
        assert_eq!(reasons, ("MinimumReplicasUnavailable".into(), NEW_REPLICA_SET_AVAILABLE.into()));
        assert_eq!(deployment.status.unwrap().unavailable_replicas, Some(1));
    }

    #[test]
    fn a_rollout_without_progress_times_out_once() {
        let mut deployment = deployment(2);
        let sets = Sets { new: Some(set("new", 1, 2, 1)), old: vec![] };
        step(&mut deployment, &sets, 0);
        let now = |second| Timestamp::from_second(second).unwrap();
        let left = check_after(&deployment, deployment.status.as_ref().unwrap(), now(100));
        assert_eq!(left, Some(Duration::from_secs(501)));
        assert_eq!(step(&mut deployment, &sets, 600).1, "ReplicaSetUpdated");
        assert_eq!(step(&mut deployment, &sets, 601).1, TIMED_OUT);
        let progressing = conditions::find(deployment.status.as_ref().unwrap(), PROGRESSING).unwrap();
        assert_eq!(progressing.message.as_deref(), Some("ReplicaSet \"new\" has timed out progressing."));
        assert_eq!(check_after(&deployment, deployment.status.as_ref().unwrap(), now(700)), None);
    }

    #[test]
    fn without_deadline_nothing_is_said_about_progress() {
        let mut deployment = deployment(1);
        deployment.spec.as_mut().unwrap().progress_deadline_seconds = Some(i32::MAX);
        assert_eq!(step(&mut deployment, &Sets::default(), 1).1, "");
    }
}
