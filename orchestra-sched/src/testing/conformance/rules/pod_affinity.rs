use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm};
use orchestra_core::{
    scheduler::{NodeInfo, PodInfo, Snapshot},
    selector::label::Selector,
};

/// How `pod` on `node` would break the affinity or anti-affinity of a pod. Terms that name namespaces are not judged: the suite's pods
/// have none.
pub(super) fn broken(pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> Option<String> {
    affinity(pod, node, snapshot).or_else(|| anti_affinity(pod, node, snapshot))
}

fn affinity(pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> Option<String> {
    let terms = terms(pod, |affinity| {
        affinity.pod_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_deref()
    });
    if let Some(term) = terms.iter().find(|term| !node.labels().contains_key(&term.topology_key)) {
        return Some(format!("which has no label {} that its affinity needs", term.topology_key));
    }
    // A pod counts if it is what all terms together ask for.
    let is_wanted = |other: &PodInfo| terms.iter().all(|term| selects(term, pod, other));
    let is_near = |term: &PodAffinityTerm, other: &NodeInfo| {
        same_place(term, node, other) && other.pods().iter().any(|pod| is_wanted(pod))
    };
    let missing = terms.iter().find(|term| !snapshot.iter().any(|other| is_near(term, other)))?;
    let is_first = !snapshot.iter().any(|node| node.pods().iter().any(|pod| is_wanted(pod)));
    (!is_first || !is_wanted(pod))
        .then(|| format!("where no pod that its affinity asks for is in the same {}", missing.topology_key))
}

fn anti_affinity(pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> Option<String> {
    let own = anti_terms(pod);
    snapshot.iter().find_map(|other| {
        other.pods().iter().find_map(|there| {
            let repels =
                |term: &PodAffinityTerm, owner, asked| same_place(term, node, other) && selects(term, owner, asked);
            let mine = own.iter().copied().find(|term| repels(term, pod, there));
            let theirs = anti_terms(there).into_iter().find(|term| repels(term, there, pod));
            let (by, term) = mine.map(|term| ("its", term)).or(theirs.map(|term| ("whose", term)))?;
            let name = there.key();
            Some(format!("which has the same {} as {name}, against {by} anti-affinity", term.topology_key))
        })
    })
}

fn anti_terms(pod: &PodInfo) -> Vec<&PodAffinityTerm> {
    terms(pod, |affinity| {
        affinity.pod_anti_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_deref()
    })
}

fn terms(pod: &PodInfo, of: fn(&Affinity) -> Option<&[PodAffinityTerm]>) -> Vec<&PodAffinityTerm> {
    let affinity = pod.spec().and_then(|spec| spec.affinity.as_ref());
    affinity.and_then(of).unwrap_or_default().iter().collect()
}

/// Whether the term of `owner` is about `other`.
fn selects(term: &PodAffinityTerm, owner: &PodInfo, other: &PodInfo) -> bool {
    let selector = term.label_selector.as_ref().and_then(|selector| Selector::try_from(selector).ok());
    owner.key().namespace() == other.key().namespace()
        && selector.is_some_and(|selector| selector.matches(other.labels()))
}

fn same_place(term: &PodAffinityTerm, node: &NodeInfo, other: &NodeInfo) -> bool {
    let value = node.labels().get(&term.topology_key);
    value.is_some() && value == other.labels().get(&term.topology_key)
}
