//! How much a pod asks for in all: the rules of `k8s.io/component-helpers/resource` (KEP-753 sidecars, KEP-2837 pod-level
//! resources, KEP-1287 in-place resize, KEP-688 overhead).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{Container, ContainerStatus, Pod, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};

use super::Resources;

type ResourceList = BTreeMap<String, Quantity>;

/// What a container that names no amount counts as when nodes are compared, so that many such pods do not all land on one node.
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Both ways to count a pod's requests.
pub(super) struct Requests {
    /// What is reserved on the node.
    pub(super) exact: Resources,
    /// CPU and memory with the defaults for containers that name none.
    pub(super) non_zero: (i64, i64),
}

impl Requests {
    pub(super) fn of(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else { return Self { exact: Resources::default(), non_zero: (0, 0) } };
        let exact = total(pod, spec, false);
        let counted = total(pod, spec, true);
        Self { exact, non_zero: (counted.milli_cpu, counted.memory) }
    }
}

fn total(pod: &Pod, spec: &PodSpec, with_defaults: bool) -> Resources {
    let pod_level = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let infeasible = resize_is_infeasible(pod);
    let request = |container: &Container, statuses: Option<&Vec<ContainerStatus>>| {
        let status = statuses.into_iter().flatten().find(|status| status.name == container.name);
        let mut request = actual(container, status, infeasible);
        if with_defaults {
            add_defaults(&mut request, container, pod_level);
        }
        request
    };

    let status = pod.status.as_ref();
    let mut sum = Resources::default();
    for container in &spec.containers {
        sum.add(&request(container, status.and_then(|s| s.container_statuses.as_ref())));
    }
    // While an init container runs, the sidecars started before it run too; the pod needs the most of any moment.
    let mut sidecars = Resources::default();
    let mut most_at_start = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let request = request(container, status.and_then(|s| s.init_container_statuses.as_ref()));
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&request);
            most_at_start.raise_to(&sidecars);
        } else {
            let mut moment = sidecars.clone();
            moment.add(&request);
            most_at_start.raise_to(&moment);
        }
    }
    sum.add(&sidecars);
    sum.raise_to(&most_at_start);

    if let Some(asked) = pod_level.filter(|asked| asked.keys().any(|name| has_pod_level(name))) {
        let (whole, names) = actual_of_pod(pod, spec, asked, infeasible);
        names.iter().for_each(|name| sum.set(name, whole.get(name)));
    }
    if let Some(overhead) = &spec.overhead {
        sum.add(&Resources::from_list(overhead));
    }
    sum
}

/// What the pod as a whole asks for, and which resources that says; if it is being resized, the larger of that and what it still has
/// (KEP-5419). What the kubelet tells is the pod's cgroup, which the overhead is part of.
fn actual_of_pod(
    pod: &Pod,
    spec: &PodSpec,
    asked: &ResourceList,
    resize_is_infeasible: bool,
) -> (Resources, BTreeSet<String>) {
    let status = pod.status.as_ref();
    let effective = status.and_then(|status| status.resources.as_ref()?.requests.as_ref());
    let allocated = status.and_then(|status| status.allocated_resources.as_ref());
    let told: Vec<&ResourceList> = effective.into_iter().chain(allocated).collect();
    let asked = Some(asked).filter(|_| !resize_is_infeasible || told.is_empty());
    let overhead = spec.overhead.as_ref().map(Resources::from_list).unwrap_or_default();
    let (mut whole, mut names) = (Resources::default(), BTreeSet::new());
    let mut raise = |list: &ResourceList, without: &Resources| {
        for (name, amount) in list.iter().filter(|(name, _)| has_pod_level(name)) {
            let amount = Resources::from_list(&BTreeMap::from([(name.clone(), amount.clone())])).get(name);
            whole.set(name, whole.get(name).max(amount.saturating_sub(without.get(name))));
            names.insert(name.clone());
        }
    };
    asked.into_iter().for_each(|list| raise(list, &Resources::default()));
    told.into_iter().for_each(|list| raise(list, &overhead));
    (whole, names)
}

fn has_pod_level(name: &str) -> bool {
    name == "cpu" || name == "memory" || name.starts_with("hugepages-")
}

/// A container's request; for one that is being resized the larger of what is asked and what it still has.
fn actual(container: &Container, status: Option<&ContainerStatus>, resize_is_infeasible: bool) -> Resources {
    let asked = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let allocated = status.and_then(|status| status.allocated_resources.as_ref());
    let effective = status.and_then(|status| status.resources.as_ref()?.requests.as_ref());
    let mut request = Resources::default();
    let has_any = allocated.is_some() || effective.is_some();
    let counted = [asked.filter(|_| !(resize_is_infeasible && has_any)), allocated, effective];
    for list in counted.into_iter().flatten() {
        request.raise_to(&Resources::from_list(list));
    }
    request
}

fn resize_is_infeasible(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    crate::condition::find(conditions, "PodResizePending").is_some_and(|c| c.reason.as_deref() == Some("Infeasible"))
}

fn add_defaults(request: &mut Resources, container: &Container, pod_level: Option<&ResourceList>) {
    let asked = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let named = |name: &str| [asked, pod_level].into_iter().flatten().any(|list| list.contains_key(name));
    if !named("cpu") {
        request.milli_cpu = DEFAULT_MILLI_CPU;
    }
    if !named("memory") {
        request.memory = DEFAULT_MEMORY;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn requests(spec: Value) -> Requests {
        Requests::of(&serde_json::from_value(json!({ "spec": spec })).unwrap())
    }

    fn container(cpu: &str) -> Value {
        json!({ "name": "c", "resources": { "requests": { "cpu": cpu } } })
    }

    fn sidecar(cpu: &str) -> Value {
        json!({ "name": "s", "restartPolicy": "Always", "resources": { "requests": { "cpu": cpu } } })
    }

    #[test]
    fn containers_add_up_and_init_containers_do_not() {
        let spec = json!({ "containers": [container("1"), container("2")], "initContainers": [container("2"), container("4")] });
        assert_eq!(requests(spec).exact.milli_cpu, 4000);
        let spec = json!({ "containers": [container("1"), container("2")], "initContainers": [container("2")] });
        assert_eq!(requests(spec).exact.milli_cpu, 3000);
    }

    #[test]
    fn sidecars_run_beside_what_starts_after_them() {
        let spec =
            json!({ "containers": [container("1")], "initContainers": [container("2"), sidecar("1"), container("3")] });
        assert_eq!(requests(spec).exact.milli_cpu, 4000);
        let spec = json!({ "containers": [container("5")], "initContainers": [sidecar("1"), container("3")] });
        assert_eq!(requests(spec).exact.milli_cpu, 6000);
    }

    #[test]
    fn pod_level_requests_replace_the_sum_and_overhead_comes_on_top() {
        let spec = json!({
            "containers": [container("1")], "resources": { "requests": { "cpu": "3" } }, "overhead": { "cpu": "250m" }
        });
        assert_eq!(requests(spec).exact.milli_cpu, 3250);
    }

    #[test]
    fn defaults_count_for_what_is_not_named_only() {
        let spec =
            json!({ "containers": [{ "name": "a" }, { "name": "b", "resources": { "requests": { "cpu": "0" } } }] });
        let requests = requests(spec);
        assert_eq!(requests.exact.milli_cpu, 0);
        assert_eq!(requests.non_zero, (100, 2 * DEFAULT_MEMORY));
    }

    #[test]
    fn a_pod_of_its_own_size_that_is_resized_counts_with_what_it_still_has() {
        let pod = |conditions: Value, resources: Value| -> Pod {
            serde_json::from_value(json!({
                "spec": { "containers": [container("1")], "overhead": { "cpu": "100m" },
                          "resources": { "requests": { "cpu": "2", "memory": "1Gi" } } },
                "status": { "conditions": conditions, "resources": { "requests": resources },
                            "allocatedResources": { "cpu": "2500m" } }
            }))
            .unwrap()
        };
        let shrinking = Requests::of(&pod(json!([]), json!({ "cpu": "3100m" }))).exact;
        assert_eq!((shrinking.milli_cpu, shrinking.memory), (3100, 1 << 30));
        let growing = Requests::of(&pod(json!([]), json!({ "cpu": "600m" }))).exact;
        assert_eq!(growing.milli_cpu, 2500, "2400m and the overhead");
        let infeasible = json!([{ "type": "PodResizePending", "status": "True", "reason": "Infeasible" }]);
        assert_eq!(
            Requests::of(&pod(infeasible, json!({ "cpu": "600m" }))).exact.memory,
            0,
            "what is asked does not count"
        );
    }

    #[test]
    fn a_pod_asks_as_a_whole_only_for_what_can_be_asked_for_so() {
        let spec = json!({ "containers": [{ "name": "c", "resources": { "requests": { "a/gpu": "1", "hugepages-2Mi": "2Mi" } } }],
                           "resources": { "requests": { "a/gpu": "4", "hugepages-2Mi": "8Mi" } } });
        let exact = requests(spec).exact;
        assert_eq!((exact.get("a/gpu"), exact.get("hugepages-2Mi")), (1, 8 << 20));
    }

    #[test]
    fn sidecars_and_init_containers_are_resized_as_others_are() {
        let pod: Pod = serde_json::from_value(json!({
            "spec": { "containers": [container("1")], "initContainers": [sidecar("1")] },
            "status": { "initContainerStatuses": [{
                "name": "s", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                "allocatedResources": { "cpu": "2" } }] }
        }))
        .unwrap();
        assert_eq!(Requests::of(&pod).exact.milli_cpu, 3000);
    }

    #[test]
    fn a_container_that_shrinks_counts_with_what_it_still_has() {
        let pod = |conditions: Value| -> Pod {
            serde_json::from_value(json!({
                "spec": { "containers": [container("1")] },
                "status": { "conditions": conditions, "containerStatuses": [{
                    "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                    "allocatedResources": { "cpu": "500m" }, "resources": { "requests": { "cpu": "700m" } }
                }] }
            }))
            .unwrap()
        };
        assert_eq!(Requests::of(&pod(json!([]))).exact.milli_cpu, 1000);
        let infeasible = json!([{ "type": "PodResizePending", "status": "True", "reason": "Infeasible" }]);
        assert_eq!(Requests::of(&pod(infeasible)).exact.milli_cpu, 700);
    }
}
