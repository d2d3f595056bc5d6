//! The constraints of pods that have none of their own.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, StatefulSet},
        core::v1::{ReplicationController, Service, TopologySpreadConstraint},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use orchestra_core::{
    ObjectKey,
    scheduler::{ObjectKind, Objects, PodInfo},
    selector::label::Selector,
};

use super::{
    args::{LIST, PodTopologySpreadArgs},
    score::HOSTNAME,
};

/// What holds for pods of Services and controllers.
pub(super) struct Defaults {
    pub(super) constraints: Vec<TopologySpreadConstraint>,
    /// Kubernetes' own: nodes that lack a label are compared by the others.
    pub(super) are_systems: bool,
}

impl Defaults {
    /// Reads what is valid.
    pub(super) fn of(args: PodTopologySpreadArgs) -> Self {
        match args.defaulting_type.as_str() {
            LIST => Self { constraints: args.default_constraints, are_systems: false },
            _ => Self { constraints: system(), are_systems: true },
        }
    }

    /// What has to be looked at to know which pods belong together.
    pub(super) fn uses(&self) -> Vec<ObjectKind> {
        if self.constraints.is_empty() {
            return Vec::new();
        }
        vec![
            ObjectKind::of::<Service>(),
            ObjectKind::of::<ReplicationController>(),
            ObjectKind::of::<ReplicaSet>(),
            ObjectKind::of::<StatefulSet>(),
        ]
    }
}

fn system() -> Vec<TopologySpreadConstraint> {
    [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)]
        .map(|(key, max_skew)| TopologySpreadConstraint {
            max_skew,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        })
        .into()
}

/// What selects the pods that are of a kind with `pod`: the Services that it belongs to and its controller, all together. `None` if it
/// belongs to none.
pub(super) fn selector(pod: &PodInfo, objects: &Objects) -> Option<Selector> {
    let mut labels = labels_of_services(pod, objects);
    let owners = pod.pod().metadata.owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
        return something(Selector::from_labels(&labels));
    };
    let key = ObjectKey::new(pod.key().namespace(), &owner.name);
    let selected = match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("v1", "ReplicationController") => {
            let controller = objects.get::<ReplicationController>(&key);
            let selected = controller.and_then(|controller| controller.spec.as_ref()?.selector.clone());
            labels.extend(selected.unwrap_or_default());
            None
        }
        ("apps/v1", "ReplicaSet") => {
            objects.get::<ReplicaSet>(&key).and_then(|set| set.spec.as_ref()).map(|spec| &spec.selector)
        }
        ("apps/v1", "StatefulSet") => {
            objects.get::<StatefulSet>(&key).and_then(|set| set.spec.as_ref()).map(|spec| &spec.selector)
        }
        _ => None,
    };
    something(both(Selector::from_labels(&labels), selected))
}

/// The labels that Services select which select the pod. Since it has them all, they do not contradict each other.
fn labels_of_services(pod: &PodInfo, objects: &Objects) -> BTreeMap<String, String> {
    let has = |key: &str, value: &str| pod.labels().get(key) == Some(value);
    let services = objects.in_namespace::<Service>(pod.key().namespace().unwrap_or_default());
    // One without selector selects nothing, and not everything.
    let selectors = services.filter_map(|service| service.spec.as_ref()?.selector.as_ref());
    let matching = selectors.filter(|selector| selector.iter().all(|(key, value)| has(key, value)));
    matching.flat_map(|selector| selector.clone()).collect()
}

fn both(selector: Selector, other: Option<&LabelSelector>) -> Selector {
    // A selector that cannot be understood is passed over, as in Kubernetes.
    let Some(other) = other.and_then(|other| Selector::try_from(other).ok()) else { return selector };
    other.requirements().iter().cloned().fold(selector, Selector::and)
}

fn something(selector: Selector) -> Option<Selector> {
    (!selector.is_everything()).then_some(selector)
}
