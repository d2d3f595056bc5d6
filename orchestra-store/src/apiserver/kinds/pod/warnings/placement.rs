use k8s_openapi::api::core::v1::{NodeSelectorTerm, PodAffinityTerm, PodSpec};

use crate::apiserver::field::Path;

/// Labels of nodes that have other names now, with what is said of them.
const OLD_LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

/// What is odd about how the spec at `path` names nodes, and other pods to be spread among.
pub(super) fn nodes(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    let old = |key: &str| OLD_LABELS.iter().find(|(label, _)| *label == key).map(|(_, why)| *why);
    for key in spec.node_selector.iter().flat_map(|selector| selector.keys()) {
        warnings.extend(old(key).map(|why| format!("{}: {why}", path.child("nodeSelector").key(key))));
    }
    let mut term = |term: &NodeSelectorTerm, path: &Path| {
        for (i, expression) in term.match_expressions.iter().flatten().enumerate() {
            let (key, path) = (&expression.key, path.child("matchExpressions").index(i).child("key"));
            warnings.extend(old(key).map(|why| format!("{path}: {key} is {why}")));
        }
    };
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let at = path.child("affinity.nodeAffinity");
    if let Some(required) = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()) {
        let at = at.child("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        required.node_selector_terms.iter().enumerate().for_each(|(i, found)| term(found, &at.index(i)));
    }
    let preferred = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    for (i, preferred) in preferred.into_iter().flatten().enumerate() {
        let at = at.child("preferredDuringSchedulingIgnoredDuringExecution").index(i).child("preference");
        term(&preferred.preference, &at);
    }
    for (i, constraint) in spec.topology_spread_constraints.iter().flatten().enumerate() {
        let (key, at) = (&constraint.topology_key, path.child("topologySpreadConstraints").index(i));
        warnings.extend(old(key).map(|why| format!("{}: {key} is {why}", at.child("topologyKey"))));
        if constraint.label_selector.is_none() {
            warnings.push(no_selector(&at));
        }
    }
}

/// What is odd about how the spec at `path` names pods to be near to, or far from.
pub(super) fn pods(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    let Some(affinity) = &spec.affinity else { return };
    let path = path.child("affinity");
    let near = affinity.pod_affinity.as_ref().map(|near| {
        let required = near.required_during_scheduling_ignored_during_execution.as_ref();
        (required, near.preferred_during_scheduling_ignored_during_execution.as_ref())
    });
    let far = affinity.pod_anti_affinity.as_ref().map(|far| {
        let required = far.required_during_scheduling_ignored_during_execution.as_ref();
        (required, far.preferred_during_scheduling_ignored_during_execution.as_ref())
    });
    for (field, terms) in [("podAffinity", near), ("podAntiAffinity", far)] {
        let (required, preferred) = terms.unwrap_or_default();
        let path = path.child(field);
        let mut term = |term: &PodAffinityTerm, at: &Path| {
            if term.label_selector.is_none() {
                warnings.push(no_selector(at));
            }
        };
        let at = path.child("requiredDuringSchedulingIgnoredDuringExecution");
        required.into_iter().flatten().enumerate().for_each(|(i, found)| term(found, &at.index(i)));
        let at = path.child("preferredDuringSchedulingIgnoredDuringExecution");
        for (i, found) in preferred.into_iter().flatten().enumerate() {
            term(&found.pod_affinity_term, &at.index(i).child("podAffinityTerm"));
        }
    }
}

fn no_selector(path: &Path) -> String {
    format!("{}: a null labelSelector results in matching no pod", path.child("labelSelector"))
}
