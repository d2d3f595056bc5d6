//! Inter-pod affinity and anti-affinity:
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity>.

use k8s_openapi::api::core::v1::{Node, Pod, PodAffinityTerm};

use super::{Cluster, label, labels::selects, namespace};

/// Required affinity: near the node is a pod that all terms mean.
pub(super) fn has_near_what_it_needs(cluster: &Cluster, pod: &Pod, node: &Node) -> bool {
    let terms = affinity_terms(pod);
    // The node has to be in some domain of every term.
    if !terms.iter().all(|term| label(node, &term.topology_key).is_some()) {
        return false;
    }
    let all_mean = |other: &Pod| terms.iter().all(|term| means(cluster, pod, term, other));
    let meant: Vec<_> = cluster.placed().filter(|(other, _)| all_mean(other)).collect();
    if terms.iter().all(|term| meant.iter().any(|(_, there)| are_near(term, node, there))) {
        return true;
    }
    // "If the pod is the first in a series of pods that have affinity to themselves": there is none in any domain, and the pod is one of them.
    let is_in_a_domain = |there: &Node| terms.iter().any(|term| label(there, &term.topology_key).is_some());
    !meant.iter().any(|(_, there)| is_in_a_domain(there)) && all_mean(pod)
}

/// Required anti-affinity: near the node is no pod that any term means.
pub(super) fn has_not_near_what_it_shuns(cluster: &Cluster, pod: &Pod, node: &Node) -> bool {
    anti_affinity_terms(pod).iter().all(|term| {
        let mut near = cluster.placed().filter(|(_, there)| are_near(term, node, there));
        !near.any(|(other, _)| means(cluster, pod, term, other))
    })
}

/// Required anti-affinity is symmetric: near the node is no pod one of whose terms means this one.
pub(super) fn is_not_shunned(cluster: &Cluster, pod: &Pod, node: &Node) -> bool {
    cluster.placed().all(|(other, there)| {
        let terms = anti_affinity_terms(other);
        !terms.iter().any(|term| are_near(term, node, there) && means(cluster, other, term, pod))
    })
}

/// Whether both nodes are in the same domain.
fn are_near(term: &PodAffinityTerm, node: &Node, other: &Node) -> bool {
    let domain = label(node, &term.topology_key);
    domain.is_some() && domain == label(other, &term.topology_key)
}

/// Whether a term of `owner` means `other`. "namespaces and namespaceSelector: null or empty namespaces list and null namespaceSelector
/// means 'this pod's namespace'"; "an empty selector ({}) matches all namespaces"; else it is the union of both.
fn means(cluster: &Cluster, owner: &Pod, term: &PodAffinityTerm, other: &Pod) -> bool {
    let named = term.namespaces.clone().unwrap_or_default();
    let of_namespace = match &term.namespace_selector {
        None if named.is_empty() => namespace(other) == namespace(owner),
        None => false,
        Some(selector) => {
            let there = cluster.namespaces.get(namespace(other)).expect("the pod's namespace");
            selects(Some(selector), there.metadata.labels.as_ref())
        }
    };
    (of_namespace || named.iter().any(|name| name == namespace(other)))
        && selects(term.label_selector.as_ref(), other.metadata.labels.as_ref())
}

fn affinity_terms(pod: &Pod) -> Vec<PodAffinityTerm> {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.clone()).and_then(|affinity| affinity.pod_affinity);
    affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution).unwrap_or_default()
}

fn anti_affinity_terms(pod: &Pod) -> Vec<PodAffinityTerm> {
    let affinity =
        pod.spec.as_ref().and_then(|spec| spec.affinity.clone()).and_then(|affinity| affinity.pod_anti_affinity);
    affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution).unwrap_or_default()
}
