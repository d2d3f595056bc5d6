//! Whether a node takes a pod that was bound to it: Kubernetes' `pkg/kubelet/lifecycle/predicate.go`.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
use orchestra_core::scheduler::Resources;

/// Why a pod does not fit beside those that use `used` of `capacity`: reason and message.
pub(super) fn lack_of_room(
    requests: &Resources,
    used: &Resources,
    pods: i64,
    capacity: &Resources,
) -> Option<(String, String)> {
    let amounts = ["cpu", "memory", "ephemeral-storage"].into_iter().chain(requests.scalars.keys().map(|name| &**name));
    let mut checks = vec![("pods", 1, pods, capacity.pods)];
    checks.extend(amounts.map(|name| (name, requests.get(name), used.get(name), capacity.get(name))));
    let (name, requested, used, capacity) =
        checks.into_iter().find(|(_, asked, used, all)| *asked > 0 && used.saturating_add(*asked) > *all)?;
    let message =
        format!("Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}");
    Some((format!("OutOf{name}"), message))
}

/// Why a pod with a node selector does not go with a node of these labels.
pub(super) fn mismatch(pod: &Pod, labels: &BTreeMap<String, String>) -> Option<(String, String)> {
    let selector = pod.spec.as_ref()?.node_selector.as_ref()?;
    let fits = selector.iter().all(|(name, value)| labels.get(name) == Some(value));
    let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
    (!fits).then(|| ("NodeAffinity".to_owned(), message.to_owned()))
}

/// The node's resources as numbers.
pub(super) fn capacity(amounts: &BTreeMap<String, String>) -> Resources {
    let list = amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect();
    Resources::from_list(&list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        let capacity = capacity(&BTreeMap::from([
            ("cpu".to_owned(), "1".to_owned()),
            ("memory".to_owned(), "1Gi".to_owned()),
            ("pods".to_owned(), "2".to_owned()),
        ]));
        let asks = |milli_cpu| Resources { milli_cpu, ..Resources::default() };
        assert_eq!(lack_of_room(&asks(400), &asks(600), 1, &capacity), None);
        let (reason, message) = lack_of_room(&asks(401), &asks(600), 1, &capacity).unwrap();
        assert_eq!(reason, "OutOfcpu");
        assert_eq!(message, "Node didn't have enough resource: cpu, requested: 401, used: 600, capacity: 1000");
        assert_eq!(lack_of_room(&asks(0), &asks(0), 2, &capacity).unwrap().0, "OutOfpods");
    }
}
