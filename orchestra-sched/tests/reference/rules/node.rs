//! What a node itself has to be like:
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/> and
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>.

use k8s_openapi::api::core::v1::{Node, NodeSelectorTerm, Pod, Taint, Toleration};

use super::{labels::holds, name, node_name};

/// A cordoned node takes only pods that tolerate the taint that stands for it.
pub(super) fn is_not_cordoned(pod: &Pod, node: &Node) -> bool {
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    !is_cordoned || tolerations(pod).iter().any(|toleration| tolerates(toleration, &taint))
}

/// `spec.nodeName`.
pub(super) fn is_the_one_named(pod: &Pod, node: &Node) -> bool {
    node_name(pod).is_none_or(|wanted| *wanted == name(node))
}

/// "If there is at least one un-ignored taint with effect NoSchedule then Kubernetes will not schedule the pod onto that node"; the same
/// goes for NoExecute.
pub(super) fn has_no_untolerated_taint(pod: &Pod, node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
    let mut hard = taints.filter(|taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute");
    hard.all(|taint| tolerations(pod).iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerations(pod: &Pod) -> Vec<Toleration> {
    pod.spec.as_ref().and_then(|spec| spec.tolerations.clone()).unwrap_or_default()
}

/// "A toleration matches a taint if the keys are the same and the effects are the same", and the operator is Exists or the values are
/// equal. "An empty key with operator Exists matches all keys, values and effects"; "an empty effect matches all effects".
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.clone().unwrap_or_default();
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    let key = toleration.key.clone().unwrap_or_default();
    if toleration.operator.as_deref() == Some("Exists") {
        return key.is_empty() || key == taint.key;
    }
    key == taint.key && toleration.value.clone().unwrap_or_default() == taint.value.clone().unwrap_or_default()
}

/// The `nodeSelector` and the required node affinity both have to hold.
pub(super) fn is_selected(pod: &Pod, node: &Node) -> bool {
    let spec = pod.spec.clone().unwrap_or_default();
    let labels = node.metadata.labels.clone().unwrap_or_default();
    for (key, value) in spec.node_selector.unwrap_or_default() {
        if labels.get(&key) != Some(&value) {
            return false;
        }
    }
    let affinity = spec.affinity.and_then(|affinity| affinity.node_affinity);
    match affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution) {
        // "If you specify multiple terms, the Pod can be scheduled onto a node if one of them can be satisfied (terms are ORed)."
        Some(required) => required.node_selector_terms.iter().any(|term| term_holds(term, node)),
        None => true,
    }
}

/// "Expressions in a term are ANDed." An empty term matches nothing.
fn term_holds(term: &NodeSelectorTerm, node: &Node) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let expressions = term.match_expressions.clone().unwrap_or_default();
    let fields = term.match_fields.clone().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let by_label =
        expressions.iter().all(|e| holds(&e.key, &e.operator, &e.values.clone().unwrap_or_default(), &labels));
    let by_name = fields.iter().all(|field| {
        let named = field.values.clone().unwrap_or_default().contains(&name(node));
        if field.operator == "In" { named } else { !named }
    });
    by_label && by_name
}
