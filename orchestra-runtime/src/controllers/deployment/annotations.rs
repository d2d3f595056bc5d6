//! What the controller writes down in annotations: revisions, and the scale that a replica set was last sized for.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::bounds::Bounds;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(super) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a deployment that are about the deployment itself.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// The history of revisions of a replica set is kept this short, in characters.
const HISTORY_LIMIT: usize = 2000;

fn number(set: &ReplicaSet, annotation: &str) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// The revision of a replica set; 0 if it has none.
pub(super) fn revision(set: &ReplicaSet) -> i64 {
    number(set, REVISION).unwrap_or(0)
}

/// The wanted number of pods of the deployment when the replica set was last sized.
pub(super) fn desired_replicas(set: &ReplicaSet) -> Option<i32> {
    number(set, DESIRED_REPLICAS).and_then(|replicas| i32::try_from(replicas).ok())
}

/// The greatest number of pods of the deployment when the replica set was last sized.
pub(super) fn max_replicas(set: &ReplicaSet) -> Option<i32> {
    number(set, MAX_REPLICAS).and_then(|replicas| i32::try_from(replicas).ok())
}

/// Sets `name` and says whether that changed anything.
pub(super) fn set(annotations: &mut BTreeMap<String, String>, name: &str, value: impl ToString) -> bool {
    let value = value.to_string();
    if annotations.get(name) == Some(&value) {
        return false;
    }
    annotations.insert(name.to_owned(), value);
    true
}

/// Notes for which scale the set is sized; says whether that changed anything.
pub(super) fn set_scale(set: &mut ReplicaSet, bounds: &Bounds) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let desired = self::set(annotations, DESIRED_REPLICAS, bounds.replicas);
    self::set(annotations, MAX_REPLICAS, bounds.most()) || desired
}

/// Copies the deployment's annotations to its newest replica set and raises the set's revision; says whether anything changed.
/// A set that becomes the newest again keeps the revisions it had in its history.
pub(super) fn set_newest(set: &mut ReplicaSet, deployment: &Deployment, revision: i64) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !OWN.contains(&name.as_str()) {
            changed |= self::set(annotations, name, value);
        }
    }
    let old = annotations.get(REVISION).cloned().unwrap_or_default();
    // What is no number was not written by a controller: leave it alone.
    let Some(old_number) = (if old.is_empty() { Some(0) } else { old.parse::<i64>().ok() }) else { return false };
    if old_number >= revision {
        return changed;
    }
    annotations.insert(REVISION.to_owned(), revision.to_string());
    if !old.is_empty() {
        let history = annotations.get(REVISION_HISTORY).map(String::as_str).unwrap_or_default();
        let history = extend_history(history, &old);
        annotations.insert(REVISION_HISTORY.to_owned(), history);
    }
    true
}

fn extend_history(history: &str, revision: &str) -> String {
    let mut revisions: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
    revisions.push(revision);
    while revisions.len() > 1 && revisions.iter().map(|revision| revision.len() + 1).sum::<usize>() > HISTORY_LIMIT {
        revisions.remove(0);
    }
    revisions.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(set: &'a ReplicaSet, name: &str) -> Option<&'a str> {
        set.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    #[test]
    fn a_set_that_becomes_the_newest_again_remembers_its_revisions() {
        let (mut set, deployment) = (ReplicaSet::default(), Deployment::default());
        assert!(set_newest(&mut set, &deployment, 1));
        assert_eq!((get(&set, REVISION), get(&set, REVISION_HISTORY)), (Some("1"), None));
        assert!(!set_newest(&mut set, &deployment, 1));
        assert!(set_newest(&mut set, &deployment, 3));
        assert_eq!((get(&set, REVISION), get(&set, REVISION_HISTORY)), (Some("3"), Some("1")));
        assert!(set_newest(&mut set, &deployment, 5));
        assert_eq!((get(&set, REVISION), get(&set, REVISION_HISTORY)), (Some("5"), Some("1,3")));
    }

    #[test]
    fn the_deployments_own_annotations_are_not_copied() {
        let mut deployment = Deployment::default();
        let note = |name: &str| (name.to_owned(), "x".to_owned());
        deployment.metadata.annotations = Some([note("kubernetes.io/change-cause"), note(REVISION)].into());
        let mut set = ReplicaSet::default();
        set_newest(&mut set, &deployment, 2);
        assert_eq!(get(&set, "kubernetes.io/change-cause"), Some("x"));
        assert_eq!(get(&set, REVISION), Some("2"));
    }

    #[test]
    fn long_histories_lose_their_oldest() {
        let history = (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let extended = extend_history(&history, "1000");
        assert!(extended.len() < HISTORY_LIMIT && extended.ends_with(",999,1000"));
    }
}
