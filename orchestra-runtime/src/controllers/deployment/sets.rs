//! The replica sets of a deployment: the one of its present template, and those of former ones.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::PodTemplateSpec,
};

use super::template_hash::is_same_template;

/// The replica sets of a deployment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    /// The one whose template is the deployment's.
    pub(super) new: Option<Arc<ReplicaSet>>,
    /// All others, the oldest first.
    pub(super) old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    /// Sorts out which is which. If several have the deployment's template the oldest counts, so that the choice is stable.
    pub(super) fn of(deployment: &Deployment, mut sets: Vec<Arc<ReplicaSet>>) -> Self {
        sets.sort_by(|a, b| age(a).cmp(&age(b)));
        let empty = PodTemplateSpec::default();
        let wanted = deployment.spec.as_ref().map_or(&empty, |spec| &spec.template);
        let has_template = |set: &Arc<ReplicaSet>| {
            set.spec.as_ref().and_then(|spec| spec.template.as_ref()).is_some_and(|t| is_same_template(t, wanted))
        };
        let new = sets.iter().position(has_template).map(|position| sets.remove(position));
        Self { new, old: sets }
    }

    /// The old ones, then the new one.
    pub(super) fn all(&self) -> Vec<&Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new).collect()
    }

    /// Those of them that should have pods.
    pub(super) fn active(&self) -> Vec<&Arc<ReplicaSet>> {
        self.all().into_iter().filter(|set| replicas(set) > 0).collect()
    }

    /// Whether the status of every set is about the size that it has now. Before, nobody can tell how many pods it has: its controller may
    /// still be making the pods of a larger size, or deleting down to a smaller one.
    pub(super) fn are_observed(&self) -> bool {
        self.all().into_iter().all(|set| is_observed(set))
    }

    /// Whether in addition no set has pods left that it should not have.
    pub(super) fn have_followed(&self) -> bool {
        self.are_observed() && self.all().into_iter().all(|set| actual(set) <= replicas(set))
    }

    /// Puts `set` in the place of its former state.
    pub(super) fn replace(&mut self, set: ReplicaSet) {
        let set = Arc::new(set);
        for old in self.old.iter_mut().chain(&mut self.new) {
            if old.metadata.uid == set.metadata.uid {
                *old = Arc::clone(&set);
            }
        }
    }

    /// The only active one, or the newest if none is active; none if several are.
    pub(super) fn only_active_or_latest(&self) -> Option<&Arc<ReplicaSet>> {
        match self.active()[..] {
            [] => self.new.as_ref().or(self.old.last()),
            [only] => Some(only),
            _ => None,
        }
    }
}

/// What sorts replica sets from the oldest to the newest.
pub(super) fn age(set: &ReplicaSet) -> (Option<jiff::Timestamp>, Option<&str>) {
    (set.metadata.creation_timestamp.as_ref().map(|time| time.0), set.metadata.name.as_deref())
}

/// How many pods the set should have.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Whether the set's controller has seen its present size.
pub(super) fn is_observed(set: &ReplicaSet) -> bool {
    set.status.as_ref().and_then(|status| status.observed_generation) >= set.metadata.generation
}

/// How many pods the set may have at this moment, if it [is observed](is_observed): those it should have, and those that it was told to
/// delete and has not yet.
pub(super) fn present(set: &ReplicaSet) -> i32 {
    replicas(set).max(actual(set))
}

/// How many of its pods are available and will stay, if it [is observed](is_observed), as a set that shrinks deletes what is not available
/// first.
pub(super) fn lasting(set: &ReplicaSet) -> i32 {
    available(set).min(replicas(set))
}

/// How many of its pods are available.
pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// How many pods the set has.
pub(super) fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::json;

    use super::*;

    /// A replica set named and with uid `name`, created `created` seconds into 2026.
    pub(in super::super) fn set(name: &str, created: u8, replicas: i32, available: i32) -> Arc<ReplicaSet> {
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "default", "uid": name,
                "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z"),
            },
            "spec": {"replicas": replicas, "selector": {}, "template": {
                "metadata": {"labels": {"pod-template-hash": name}},
                "spec": {"containers": [{"name": "c", "image": name}]},
            }},
            "status": {"replicas": replicas, "availableReplicas": available, "readyReplicas": available},
        }))
        .unwrap();
        Arc::new(set)
    }

    #[test]
    fn the_oldest_with_the_template_is_the_new_one() {
        let mut deployment = Deployment::default();
        deployment.spec.get_or_insert_default().template =
            serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": "b"}]}}))
                .unwrap();
        let sets = Sets::of(&deployment, vec![set("c", 3, 1, 1), set("b", 2, 1, 1), set("a", 1, 0, 0)]);
        let name = |set: &Arc<ReplicaSet>| set.metadata.name.clone().unwrap();
        assert_eq!(sets.new.as_ref().map(name).as_deref(), Some("b"));
        assert_eq!(sets.old.iter().map(name).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(sets.active().len(), 2);
        assert!(sets.only_active_or_latest().is_none());
    }
}
