//! When a pod that was rejected is worth another attempt.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use orchestra_core::{
    informer::Change,
    scheduler::{AffinityTerm, AffinityTerms, ClusterEvent, EventKind, PodInfo},
};

use super::InterPodAffinity;
use crate::framework::Requeue;

impl Requeue for InterPodAffinity {
    fn concerns(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::NodeAdded
            | EventKind::NodeUpdated
            | EventKind::PodAssigned
            | EventKind::AssignedPodUpdated
            | EventKind::PodReleased
            | EventKind::PodUpdated => true,
            other => other == EventKind::change_of::<Namespace>(),
        }
    }

    /// As kube-scheduler's, without what that is known to overlook: the last pod of a group that wants to be together has gone, and namespaces
    /// are selected by their labels (kubernetes/kubernetes issues 141354 and 141953).
    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        static NONE: AffinityTerms = AffinityTerms {
            required_affinity: Vec::new(),
            required_anti_affinity: Vec::new(),
            preferred: Vec::new(),
            error: None,
        };
        let terms = pod.affinity_terms().unwrap_or(&NONE);
        let attracts = |other: &PodInfo| attracts(terms, other);
        // Nobody of the group would be left to be near to.
        let leaves_alone = |other: &PodInfo| attracts(other) && attracts(pod);
        match event {
            ClusterEvent::PodAssigned(other) => attracts(other),
            ClusterEvent::PodReleased(other) => {
                let means = |terms: &[AffinityTerm], pod: &PodInfo| terms.iter().any(|term| may_mean(term, pod));
                let forbade = other.affinity_terms().is_some_and(|terms| means(&terms.required_anti_affinity, pod));
                forbade || means(&terms.required_anti_affinity, other) || leaves_alone(other)
            }
            ClusterEvent::AssignedPodUpdated { old, new } => {
                let lets_go = |term: &AffinityTerm| may_mean(term, old) && !may_mean(term, new);
                let near = attracts(new) && !attracts(old);
                near || terms.required_anti_affinity.iter().any(lets_go) || (leaves_alone(old) && !attracts(new))
            }
            // Where nothing has to be near, any new node may do: pods that are in the way are elsewhere.
            ClusterEvent::NodeAdded(node) => {
                let keys = || terms.required_affinity.iter().map(|term| &term.topology_key);
                keys().next().is_none() || keys().any(|key| node.labels().contains_key(key))
            }
            // It and its pods may now be near other nodes, or no longer, by a label that only the pods' own terms name.
            ClusterEvent::NodeUpdated { old, new } => old.labels() != new.labels(),
            ClusterEvent::PodUpdated { old, new } => {
                old.labels() != new.labels() || old.affinity_terms() != new.affinity_terms()
            }
            other => other.change_of::<Namespace>().is_none_or(|change| namespace_may_help(change, terms, pod)),
        }
    }
}

/// Whether a namespace that came, changed or went is one where terms of the pod mean other pods than before, or the pod's own: then it may be
/// the terms of others that mean it no longer.
fn namespace_may_help(change: &Change<Namespace>, terms: &AffinityTerms, pod: &PodInfo) -> bool {
    let labels =
        |namespace: Option<&Arc<Namespace>>| namespace.and_then(|n| n.metadata.labels.clone()).unwrap_or_default();
    let is_own = change.object().metadata.name.as_deref() == pod.key().namespace();
    let selects = |term: &AffinityTerm, namespace: Option<&Arc<Namespace>>| {
        namespace.is_some_and(|n| term.namespace_selector.matches_optional(n.metadata.labels.as_ref()))
    };
    let changes = |term: &AffinityTerm| {
        !term.namespace_selector.is_everything() && selects(term, change.old()) != selects(term, change.new())
    };
    (is_own && labels(change.old()) != labels(change.new()))
        || terms.required_affinity.iter().chain(&terms.required_anti_affinity).any(changes)
}

fn attracts(terms: &AffinityTerms, other: &PodInfo) -> bool {
    !terms.required_affinity.is_empty() && terms.required_affinity.iter().all(|term| may_mean(term, other))
}

/// Whether the term means the pod, or would if its namespace had the labels: those are not known here.
fn may_mean(term: &AffinityTerm, pod: &PodInfo) -> bool {
    let selects_namespaces =
        term.namespace_selector.is_everything() || !term.namespace_selector.requirements().is_empty();
    let namespace = pod.key().namespace().unwrap_or_default();
    (selects_namespaces || term.namespaces.contains(namespace)) && term.selector.matches(pod.labels())
}
