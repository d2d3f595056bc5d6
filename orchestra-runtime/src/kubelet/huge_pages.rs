//! Memory in pages larger than usual, which a node sets aside: resources like `hugepages-2Mi`
//! (<https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/>).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::{quantity::Quantity, scheduler::Resources};

use super::pod::all_containers;

/// Bytes, by the size of a page in bytes.
pub(super) type Pages = BTreeMap<u64, u64>;

/// The bytes of a page whose size is written as Kubernetes does it: `2Mi`.
pub(super) fn page_size(size: &str) -> Option<u64> {
    let size = size.parse::<Quantity>().ok()?.value();
    u64::try_from(size).ok().filter(|size| *size > 0)
}

/// The size of the pages that a resource counts, if it counts huge pages.
fn counted(resource: &str) -> Option<u64> {
    page_size(resource.strip_prefix("hugepages-")?)
}

/// The huge pages among these amounts.
pub(super) fn of(amounts: &Resources) -> Pages {
    let pages = amounts.scalars.iter().filter_map(|(name, amount)| Some((counted(name)?, *amount)));
    pages.map(|(size, amount)| (size, u64::try_from(amount).unwrap_or_default())).collect()
}

/// What a node with that capacity has of them.
pub(super) fn of_node(capacity: &BTreeMap<String, String>) -> Pages {
    let list: BTreeMap<_, _> =
        capacity.iter().map(|(name, amount)| (name.clone(), ApiQuantity(amount.clone()))).collect();
    of(&Resources::from_list(&list))
}

/// What a container may have of them on a node with that capacity: what it says, or else what its pod does, and none of other sizes.
pub(super) fn of_container(pod: &Pod, container: &Container, capacity: &BTreeMap<String, String>) -> Pages {
    let mut pages: Pages = of_node(capacity).into_keys().map(|size| (size, 0)).collect();
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    for limits in [of_pod, container.resources.as_ref()].into_iter().filter_map(|all| all?.limits.as_ref()) {
        pages.extend(of(&Resources::from_list(limits)));
    }
    pages
}

/// The sizes of the pages that a pod or its containers ask for.
pub(super) fn requested(pod: &Pod) -> BTreeSet<u64> {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let all = all_containers(pod).filter_map(|container| container.resources.as_ref()).chain(of_pod);
    let names = |all: &ResourceRequirements| -> Vec<u64> {
        all.requests.iter().flatten().filter_map(|(name, _)| counted(name)).collect()
    };
    all.flat_map(names).collect()
}

/// The size as the kernel writes it in the names of cgroups' files: `64KB`, `2MB`, `1GB`.
pub(super) fn kernel_name(size: u64) -> String {
    match size {
        _ if size >= 1 << 30 => format!("{}GB", size >> 30),
        _ if size >= 1 << 20 => format!("{}MB", size >> 20),
        _ => format!("{}KB", size >> 10),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KI: u64 = 1 << 10;
    const MI: u64 = 1 << 20;
    const GI: u64 = 1 << 30;

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({ "spec": spec })).unwrap()
    }

    #[test]
    fn a_container_has_what_it_says_and_no_other_pages() {
        let capacity = [("memory", "8Gi"), ("hugepages-2Mi", "32Mi"), ("hugepages-1Gi", "0")];
        let capacity = capacity.map(|(name, amount)| (name.to_owned(), amount.to_owned())).into();
        let pod = pod(json!({
            "resources": { "limits": { "hugepages-2Mi": "8Mi" } },
            "containers": [
                { "name": "a", "resources": { "limits": { "hugepages-2Mi": "4Mi", "memory": "1Gi" } } },
                { "name": "b" },
            ],
        }));
        let of = |number: usize| of_container(&pod, &pod.spec.as_ref().unwrap().containers[number], &capacity);
        assert_eq!(of(0), Pages::from([(2 * MI, 4 * MI), (GI, 0)]));
        assert_eq!(of(1), Pages::from([(2 * MI, 8 * MI), (GI, 0)]));
    }

    #[test]
    fn sizes_are_asked_for_by_any_container_and_named_as_the_kernel_does() {
        let asks = |name: &str| json!({ "name": "c", "resources": { "requests": { name: "1Gi" } } });
        let containers = [asks("hugepages-1Gi"), asks("memory"), asks("hugepages-none")];
        let pod = pod(json!({ "containers": containers, "initContainers": [asks("hugepages-64Ki")] }));
        let sizes = requested(&pod);
        assert_eq!(sizes, BTreeSet::from([64 * KI, GI]));
        assert_eq!(sizes.into_iter().chain([2 * MI]).map(kernel_name).collect::<Vec<_>>(), ["64KB", "1GB", "2MB"]);
    }
}
