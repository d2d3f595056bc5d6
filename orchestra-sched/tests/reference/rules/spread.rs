//! Topology spread: <https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, Pod, TopologySpreadConstraint},
    apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement,
};

use super::{Cluster, label, labels::selects, namespace, node};

/// Every constraint that says `DoNotSchedule` holds.
pub(super) fn stays_even(cluster: &Cluster, pod: &Pod, node: &Node) -> bool {
    let all = pod.spec.as_ref().and_then(|spec| spec.topology_spread_constraints.clone()).unwrap_or_default();
    let hard: Vec<_> = all.into_iter().filter(|constraint| constraint.when_unsatisfiable == "DoNotSchedule").collect();
    hard.iter().all(|constraint| holds(cluster, pod, node, constraint, &hard))
}

fn holds(
    cluster: &Cluster,
    pod: &Pod,
    node: &Node,
    constraint: &TopologySpreadConstraint,
    all: &[TopologySpreadConstraint],
) -> bool {
    // "The scheduler will bypass the nodes that don't have any topologySpreadConstraints[*].topologyKey present": they take no such pod, and
    // the pods on them count for nothing.
    let Some(domain) = label(node, &constraint.topology_key) else { return false };
    let mut pods_by_domain: BTreeMap<&String, i64> = BTreeMap::new();
    for other in cluster.nodes.values() {
        let has_all_keys = all.iter().all(|constraint| label(other, &constraint.topology_key).is_some());
        if !has_all_keys || !is_eligible(pod, other, constraint) {
            continue;
        }
        // Pods that are about to go do not count.
        let stays = |there: &&Pod| there.metadata.deletion_timestamp.is_none();
        let here = cluster.pods_on(other).filter(stays).filter(|there| counts(pod, there, constraint)).count();
        let domain = label(other, &constraint.topology_key).expect("all keys are there");
        *pods_by_domain.entry(domain).or_default() += i64::try_from(here).expect("few pods");
    }
    // "When the number of eligible domains with match topology keys is less than minDomains, the global minimum is treated as 0."
    let domains = i32::try_from(pods_by_domain.len()).expect("few domains");
    let enough = domains >= constraint.min_domains.unwrap_or(1);
    let least = if enough { pods_by_domain.values().min().copied().unwrap_or(0) } else { 0 };
    let itself = i64::from(counts(pod, pod, constraint));
    let here = pods_by_domain.get(domain).copied().unwrap_or(0);
    here + itself - least <= i64::from(constraint.max_skew)
}

/// Whether a node's pods count: by default where the pod's node selector and affinity allow it, tainted or not.
fn is_eligible(pod: &Pod, other: &Node, constraint: &TopologySpreadConstraint) -> bool {
    let honors_affinity = constraint.node_affinity_policy.as_deref().unwrap_or("Honor") == "Honor";
    let honors_taints = constraint.node_taints_policy.as_deref().unwrap_or("Ignore") == "Honor";
    (!honors_affinity || node::is_selected(pod, other))
        && (!honors_taints || node::has_no_untolerated_taint(pod, other))
}

/// Whether `there` is one of the pods that are to be spread: of the same namespace, selected, and with the pod's own values
/// of the labels that `matchLabelKeys` names ("keys that don't exist in the pod labels will be ignored").
fn counts(pod: &Pod, there: &Pod, constraint: &TopologySpreadConstraint) -> bool {
    let mut selector = constraint.label_selector.clone();
    for key in constraint.match_label_keys.iter().flatten() {
        let own = pod.metadata.labels.as_ref().and_then(|labels| labels.get(key));
        if let (Some(value), Some(selector)) = (own, &mut selector) {
            selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
                key: key.clone(),
                operator: "In".to_owned(),
                values: Some(vec![value.clone()]),
            });
        }
    }
    namespace(there) == namespace(pod) && selects(selector.as_ref(), there.metadata.labels.as_ref())
}
