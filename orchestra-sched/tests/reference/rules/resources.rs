//! Resources: <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>,
//! <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>,
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-overhead/> and
//! <https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/>.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{Container, Node, Pod},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{Cluster, ports::is_sidecar};

/// Of each resource that the pod asks for, its request and those of the pods that are there are no more than the node has; and the node may
/// have one more pod. Of what the pod does not ask for, a node may have promised too much already.
pub(super) fn suffice(cluster: &Cluster, pod: &Pod, node: &Node) -> bool {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.clone()).unwrap_or_default();
    let has = |resource: &str| amount(resource, allocatable.get(resource));
    let others: Vec<&Pod> = cluster.pods_on(node).collect();
    if i64::try_from(others.len()).expect("few pods") + 1 > has("pods") {
        return false;
    }
    resources_named(pod).iter().all(|resource| {
        let wanted = request(pod, resource);
        let used: i64 = others.iter().map(|other| request(other, resource)).sum();
        wanted == 0 || used + wanted <= has(resource)
    })
}

/// What the pod needs of a resource at the moment when it needs most.
fn request(pod: &Pod, resource: &str) -> i64 {
    let spec = pod.spec.clone().unwrap_or_default();
    let of = |container: &Container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        amount(resource, requests.and_then(|requests| requests.get(resource)))
    };
    let init_containers = spec.init_containers.clone().unwrap_or_default();
    let mut sidecars_so_far = 0;
    let mut most_during_init = 0;
    for container in &init_containers {
        if is_sidecar(container) {
            sidecars_so_far += of(container);
            most_during_init = most_during_init.max(sidecars_so_far);
        } else {
            most_during_init = most_during_init.max(sidecars_so_far + of(container));
        }
    }
    let afterwards: i64 = spec.containers.iter().map(of).sum::<i64>() + sidecars_so_far;
    let mut needed = afterwards.max(most_during_init);
    // What the pod as a whole asks for takes the place of what its containers do: of CPU, memory and huge pages there is such a thing.
    let of_pod = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let of_pod = of_pod.filter(|_| resource == "cpu" || resource == "memory");
    if let Some(quantity) = of_pod.and_then(|requests| requests.get(resource)) {
        needed = amount(resource, Some(quantity));
    }
    needed + amount(resource, spec.overhead.as_ref().and_then(|overhead| overhead.get(resource)))
}

fn resources_named(pod: &Pod) -> BTreeSet<String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let of_containers =
        spec.containers.iter().chain(spec.init_containers.iter().flatten()).map(|c| c.resources.as_ref());
    let lists =
        of_containers.chain([spec.resources.as_ref()]).flatten().filter_map(|resources| resources.requests.as_ref());
    let names = |list: &BTreeMap<String, Quantity>| list.keys().cloned().collect::<Vec<_>>();
    lists.chain(&spec.overhead).flat_map(names).collect()
}

/// Thousandths of a CPU, bytes, or pieces; the forms that the test writes.
fn amount(resource: &str, quantity: Option<&Quantity>) -> i64 {
    let Some(Quantity(text)) = quantity else { return 0 };
    let unit = if resource == "cpu" { 1000 } else { 1 };
    let number = |digits: &str| digits.parse::<i64>().expect("a number");
    if let Some(digits) = text.strip_suffix("Mi") {
        number(digits) * 1024 * 1024
    } else if let Some(digits) = text.strip_suffix('m') {
        number(digits) * unit / 1000
    } else {
        number(text) * unit
    }
}
