//! What an update of a pod may change: images, deadlines, and, in one direction, tolerations and gates.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration};

use super::{mirror, validation};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    kinds::spec_diff,
};

const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn validate(new: &Pod, old: &Pod) -> Errors {
    let mut errors = validation::any(new);
    errors.extend(mirror::annotation_changes(&new.metadata, &old.metadata));
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return errors };
    if new == old {
        return errors;
    }
    let path = Path::new("spec");
    let inits =
        (new.init_containers.as_deref().unwrap_or_default(), old.init_containers.as_deref().unwrap_or_default());
    if !images(&new.containers, &old.containers, &path.child("containers"), &mut errors)
        || !images(inits.0, inits.1, &path.child("initContainers"), &mut errors)
    {
        return errors;
    }
    if let Err(error) = deadline(new, old, &path.child("activeDeadlineSeconds")) {
        errors.push(error);
        return errors;
    }
    errors.extend(only_added(new, old, &path.child("tolerations")));
    errors.extend(only_opened(new, old, &path.child("schedulingGates")));
    let rest = without_allowed(new, old, &path, &mut errors);
    if rest != *old {
        errors.push(Error::forbidden(&path, &format!("{UPDATABLE}\n{}", spec_diff::of_pods(old, &rest))));
    }
    errors
}

/// Whether there are as many containers as before, so that it makes sense to go on.
fn images(new: &[Container], old: &[Container], path: &Path, errors: &mut Errors) -> bool {
    if new.len() != old.len() {
        errors.push(Error::forbidden(path, "pod updates may not add or remove containers"));
        return false;
    }
    for (index, container) in new.iter().enumerate() {
        if container.image.as_deref().unwrap_or_default().trim().is_empty() {
            errors.push(Error::required(&path.index(index).child("image"), ""));
        }
    }
    true
}

/// A deadline may be set, and then only come nearer.
fn deadline(new: &PodSpec, old: &PodSpec, path: &Path) -> Result<(), Error> {
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            Err(Error::invalid(path, new, "must be between 0 and 2147483647, inclusive"))
        }
        (Some(new), Some(old)) if old < new => {
            Err(Error::invalid(path, new, "must be less than or equal to previous value"))
        }
        (None, Some(_)) => {
            let null = Shown::raw("null");
            Err(Error::invalid(path, null, "must not update from a positive integer to nil value"))
        }
        _ => Ok(()),
    }
}

/// Tolerations may be added, and those that are there may change in how long they hold.
fn only_added(new: &PodSpec, old: &PodSpec, path: &Path) -> Option<Error> {
    fn what(toleration: &Toleration) -> [Option<&str>; 4] {
        let Toleration { key, operator, value, effect, .. } = toleration;
        [key.as_deref(), operator.as_deref(), value.as_deref(), effect.as_deref()]
    }
    let kept: HashSet<_> = new.tolerations.iter().flatten().map(what).collect();
    let lost = old.tolerations.iter().flatten().any(|toleration| !kept.contains(&what(toleration)));
    lost.then(|| Error::forbidden(path, "existing toleration can not be modified except its tolerationSeconds"))
}

/// Gates may only be removed.
fn only_opened(new: &PodSpec, old: &PodSpec, path: &Path) -> Errors {
    let known: HashSet<_> = old.scheduling_gates.iter().flatten().map(|gate| &gate.name).collect();
    let added = new.scheduling_gates.iter().flatten().filter(|gate| !known.contains(&gate.name));
    added
        .map(|gate| {
            let why = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            Error::forbidden(path, &why)
        })
        .collect()
}

/// The new spec with what may change put back.
fn without_allowed(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut Errors) -> PodSpec {
    let mut rest = new.clone();
    let images = |new: &mut [Container], old: &[Container]| {
        for (new, old) in new.iter_mut().zip(old) {
            new.image.clone_from(&old.image);
        }
    };
    images(&mut rest.containers, &old.containers);
    if let (Some(new), Some(old)) = (&mut rest.init_containers, &old.init_containers) {
        images(new, old);
    }
    rest.active_deadline_seconds = old.active_deadline_seconds;
    rest.tolerations.clone_from(&old.tolerations);
    rest.scheduling_gates.clone_from(&old.scheduling_gates);
    let grace = &mut rest.termination_grace_period_seconds;
    if *grace == Some(1) && old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        *grace = old.termination_grace_period_seconds;
    }
    if old.scheduling_gates.is_some() {
        narrowed_selector(&mut rest, old, &path.child("nodeSelector"), errors);
    }
    rest
}

/// While gates hold a pod back, where it may run can be narrowed (KEP-3838).
fn narrowed_selector(rest: &mut PodSpec, old: &PodSpec, path: &Path, errors: &mut Errors) {
    let kept = |key: &String, value: &String| rest.node_selector.as_ref().and_then(|s| s.get(key)) == Some(value);
    if old.node_selector.iter().flatten().any(|(key, value)| !kept(key, value)) {
        let shown = Shown::json(&rest.node_selector);
        errors.push(Error::invalid(path, shown, "only additions are allowed (no mutations or deletions)"));
    }
    rest.node_selector.clone_from(&old.node_selector);
}
