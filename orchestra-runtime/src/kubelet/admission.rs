//! Whether a node takes a pod that was bound to it: Kubernetes' `pkg/kubelet/lifecycle/predicate.go`.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
use orchestra_core::scheduler::Resources;

/// What stands before a class's name in the resource that its devices provide.
const CLASS_PREFIX: &str = "deviceclass.resource.kubernetes.io/";

/// Why a pod does not fit beside those that use `used` of `capacity`: reason and message. Extended resources that the node does not know are
/// somebody else's: the cluster has them, or devices provide them (KEP-5004).
pub(super) fn lack_of_room(
    requests: &Resources,
    used: &Resources,
    pods: i64,
    capacity: &Resources,
) -> Option<(String, String)> {
    let is_own = |name: &&str| capacity.scalars.contains_key(*name) || !is_extended(name);
    let scalars = requests.scalars.keys().map(|name| &**name).filter(is_own);
    let amounts = ["cpu", "memory", "ephemeral-storage"].into_iter().chain(scalars);
    let mut checks = vec![("pods", 1, pods, capacity.pods)];
    checks.extend(amounts.map(|name| (name, requests.get(name), used.get(name), capacity.get(name))));
    let (name, requested, used, capacity) =
        checks.into_iter().find(|(_, asked, used, all)| *asked > 0 && used.saturating_add(*asked) > *all)?;
    let message =
        format!("Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}");
    Some((format!("OutOf{name}"), message))
}

fn is_extended(name: &str) -> bool {
    name.starts_with(CLASS_PREFIX) || name.contains('/') && !name.contains("kubernetes.io/")
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

    #[test]
    fn extended_resources_that_the_node_does_not_know_are_not_its_own() {
        let (gpu, class) = ("example.com/gpu", "deviceclass.resource.kubernetes.io/gpu");
        let lacks = |asked: &str, known: &str| {
            let mut requests = Resources::default();
            requests.set(asked, 2);
            let amounts = [("pods", "2"), (known, "1")].map(|(name, amount)| (name.to_owned(), amount.to_owned()));
            lack_of_room(&requests, &Resources::default(), 0, &capacity(&amounts.into())).map(|(reason, _)| reason)
        };
        assert_eq!((lacks(gpu, "cpu"), lacks(class, "cpu")), (None, None));
        assert_eq!(lacks(gpu, gpu), Some("OutOfexample.com/gpu".to_owned()));
        assert_eq!(lacks("hugepages-2Mi", "cpu"), Some("OutOfhugepages-2Mi".to_owned()));
    }
}
