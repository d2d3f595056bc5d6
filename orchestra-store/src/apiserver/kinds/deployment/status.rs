//! Checks of a Deployment's status (`ValidateDeploymentStatusUpdate`).

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use crate::apiserver::{
    field::{Error, Errors, Path},
    kinds::workload,
};

/// What is wrong with a new status.
pub(super) fn validate_update(new: &Deployment, old: &Deployment) -> Errors {
    let Some(status) = &new.status else { return Errors::new() };
    let path = Path::new("status");
    let mut errors = counts(status, &path);
    let collisions = |status: &DeploymentStatus| status.collision_count;
    if let Some(before) = old.status.as_ref().and_then(collisions) {
        let path = path.child("collisionCount");
        match status.collision_count {
            Some(now) if now < before => errors.push(Error::invalid(&path, now, "cannot be decremented")),
            Some(_) => {}
            None => {
                errors.push(Error::invalid(&path, crate::apiserver::field::Shown::raw("null"), "cannot be decremented"))
            }
        }
    }
    errors
}

fn counts(status: &DeploymentStatus, path: &Path) -> Errors {
    let mut errors = Errors::new();
    errors.extend(workload::not_negative(status.observed_generation, &path.child("observedGeneration")));
    let numbers = [
        ("replicas", status.replicas),
        ("updatedReplicas", status.updated_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
        ("unavailableReplicas", status.unavailable_replicas),
        ("terminatingReplicas", status.terminating_replicas),
        ("collisionCount", status.collision_count),
    ];
    for (name, number) in numbers {
        errors.extend(workload::not_negative(number, &path.child(name)));
    }
    let count = Option::unwrap_or_default;
    let bounds = [
        ("updatedReplicas", status.updated_replicas, status.replicas, "cannot be greater than status.replicas"),
        ("readyReplicas", status.ready_replicas, status.replicas, "cannot be greater than status.replicas"),
        ("availableReplicas", status.available_replicas, status.replicas, "cannot be greater than status.replicas"),
        ("availableReplicas", status.available_replicas, status.ready_replicas, "cannot be greater than readyReplicas"),
    ];
    for (name, number, bound, detail) in bounds {
        if count(number) > count(bound) {
            errors.push(Error::invalid(&path.child(name), count(number), detail));
        }
    }
    errors
}
