//! `pods/resize`: what a pod's containers ask for and may use, changed while they run (KEP-1287, `ValidatePodResize`).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod, PodSpec, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{mirror, qos, validation};
use crate::apiserver::{
    field::{Error, Errors, Path},
    kinds::spec_diff,
};

/// What may change.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

type Amounts = BTreeMap<String, Quantity>;

/// Puts back all but resources, and the containers' order, which is checked.
pub(super) fn keep(new: &mut Pod, old: &Pod) {
    let asked = new.spec.take().unwrap_or_default();
    let version = new.metadata.resource_version.take();
    new.clone_from(old);
    new.metadata.resource_version = version;
    let spec = new.spec.get_or_insert_default();
    spec.containers = resized(&spec.containers, asked.containers);
    let init = spec.init_containers.take().unwrap_or_default();
    spec.init_containers = asked.init_containers.map(|asked| resized(&init, asked));
    spec.resources = asked.resources;
}

/// The old containers in the order of the new ones, with their resources.
fn resized(old: &[Container], new: Vec<Container>) -> Vec<Container> {
    let resize = |new: Container| match old.iter().find(|old| old.name == new.name) {
        Some(old) => Container { resources: new.resources, resize_policy: new.resize_policy, ..old.clone() },
        None => new,
    };
    new.into_iter().map(resize).collect()
}

/// Checks the change.
pub(super) fn validate(new: &Pod, old: &Pod) -> Errors {
    if mirror::is_mirror(&old.metadata) {
        return vec![Error::forbidden(&Path::new(""), "static pods cannot be resized")];
    }
    let mut errors = validation::any(new);
    let (Some(new), Some(before)) = (&new.spec, &old.spec) else { return errors };
    if before.os.as_ref().is_some_and(|os| os.name == "windows") {
        return vec![Error::forbidden(&Path::new(""), "windows pods cannot be resized")];
    }
    let path = Path::new("spec");
    let class = old.status.as_ref().and_then(|status| status.qos_class.as_deref());
    if qos::class(new) != class.unwrap_or_else(|| qos::class(before)) {
        errors.push(Error::invalid(&path, qos::class(new), "Pod QOS Class may not change as a result of resizing"));
    }
    if new.resources != before.resources {
        errors.push(Error::forbidden(&path.child("resources"), "pod-level resources cannot be resized"));
    }
    if !is_supported(old) {
        errors.push(Error::forbidden(&path, "Pod running on node without support for resize"));
    }
    let order = order(new, before, &path);
    if !order.is_empty() {
        errors.extend(order);
        return errors;
    }
    errors.extend(removals(new, before, &path));
    errors.extend(others(new, before, &path));
    errors
}

/// Whether the pod's kubelet tells what its running containers have.
fn is_supported(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| &status.container_statuses).flatten();
    let mut running = statuses.filter(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    running.next().is_none_or(|status| status.resources.is_some())
}

fn init(spec: &PodSpec) -> &[Container] {
    spec.init_containers.as_deref().unwrap_or_default()
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The containers are the same, in the same order.
fn order(new: &PodSpec, old: &PodSpec, path: &Path) -> Errors {
    let lists = [("containers", &*new.containers, &*old.containers), ("initContainers", init(new), init(old))];
    let mut errors = Errors::new();
    for (list, new, old) in lists {
        let path = path.child(list);
        if new.len() != old.len() {
            errors.push(Error::forbidden(&path, &format!("{list} may not be added or removed on resize")));
            continue;
        }
        let moved = new.iter().zip(old).enumerate().filter(|(_, (new, old))| new.name != old.name);
        let why = format!("{list} may not be renamed or reordered on resize");
        errors.extend(moved.map(|(index, _)| Error::forbidden(&path.index(index).child("name"), &why)));
    }
    errors
}

/// What was asked for once may change, but not go.
fn removals(new: &PodSpec, old: &PodSpec, path: &Path) -> Errors {
    let init = init(new).iter().zip(init(old)).enumerate().filter(|(_, (_, old))| is_sidecar(old));
    let init = init.map(|(index, pair)| (path.child("initContainers").index(index), pair));
    let containers = new.containers.iter().zip(&old.containers).enumerate();
    let containers = containers.map(|(index, pair)| (path.child("containers").index(index), pair));
    let mut errors = Errors::new();
    for (path, (new, old)) in init.chain(containers) {
        let path = path.child("resources");
        let lists = |container: &Container| container.resources.clone().unwrap_or_default();
        let (new, old) = (lists(new), lists(old));
        if is_removed(new.requests.as_ref(), old.requests.as_ref()) {
            errors.push(Error::forbidden(&path.child("requests"), "resource requests cannot be removed"));
        }
        if is_removed(new.limits.as_ref(), old.limits.as_ref()) {
            errors.push(Error::forbidden(&path.child("limits"), "resource limits cannot be removed"));
        }
    }
    errors
}

fn is_removed(new: Option<&Amounts>, old: Option<&Amounts>) -> bool {
    old.into_iter().flatten().any(|(name, _)| new.is_none_or(|new| !new.contains_key(name)))
}

/// Nothing else changes.
fn others(new: &PodSpec, old: &PodSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut rest = new.clone();
    for (new, old) in rest.containers.iter_mut().zip(&old.containers) {
        put_back(new, old);
    }
    for (index, (new, old)) in rest.init_containers.iter_mut().flatten().zip(init(old)).enumerate() {
        if is_sidecar(old) {
            put_back(new, old);
        } else if new != old {
            let why = "resources for non-sidecar init containers are immutable";
            errors.push(Error::forbidden(&path.child("initContainers").index(index).child("resources"), why));
            new.clone_from(old);
        }
    }
    if rest != *old {
        let why = format!("only cpu and memory resources are mutable\n{}", spec_diff::of_pods(old, &rest));
        errors.push(Error::forbidden(path, &why));
    }
    errors
}

/// Gives the container what it had of the resources that may change.
fn put_back(new: &mut Container, old: &Container) {
    let before = old.resources.clone().unwrap_or_default();
    let mut after = new.resources.take().unwrap_or_default();
    for (new, old) in [(&mut after.requests, &before.requests), (&mut after.limits, &before.limits)] {
        for name in RESIZABLE {
            let amount = old.as_ref().and_then(|old| old.get(name)).cloned();
            match amount {
                Some(amount) => drop(new.get_or_insert_default().insert(name.to_owned(), amount)),
                None => drop(new.as_mut().and_then(|new| new.remove(name))),
            }
        }
        if old.is_none() {
            new.take_if(|new| new.is_empty());
        }
    }
    new.resources = Some(after).filter(|after| old.resources.is_some() || *after != ResourceRequirements::default());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::apiserver::{
        kinds::{pod::Pods, testing::texts},
        strategy::Strategy,
    };

    fn container(name: &str, resources: Value) -> Value {
        json!({ "name": name, "image": "x", "resources": resources })
    }

    fn pod(containers: Value, init: Value) -> Pod {
        let spec = json!({ "containers": containers, "initContainers": init });
        let mut pod = serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec })).unwrap();
        Pods.default(&mut pod);
        pod
    }

    fn old() -> Pod {
        let mut sidecar = container("s", json!({ "requests": { "cpu": "1" } }));
        sidecar["restartPolicy"] = json!("Always");
        pod(
            json!([
                container("a", json!({ "requests": { "cpu": "1", "memory": "1Gi" }, "limits": { "cpu": "2" } })),
                container("b", json!({}))
            ]),
            json!([sidecar, container("i", json!({}))]),
        )
    }

    /// What is wrong with a change of the pod.
    fn errors(change: impl FnOnce(&mut PodSpec)) -> Vec<String> {
        let (old, mut new) = (old(), old());
        change(new.spec.as_mut().unwrap());
        Pods.default(&mut new);
        keep(&mut new, &old);
        texts(&validate(&new, &old)).iter().map(|text| text.lines().next().unwrap_or_default().to_owned()).collect()
    }

    fn set(container: &mut Container, resources: Value) {
        container.resources = Some(serde_json::from_value(resources).unwrap());
    }

    #[test]
    fn cpu_and_memory_change_and_nothing_else() {
        let all = json!({ "requests": { "cpu": "500m", "memory": "2Gi" }, "limits": { "cpu": "3", "memory": "4Gi" } });
        let good = errors(|spec| {
            set(&mut spec.containers[0], all);
            set(&mut spec.containers[1], json!({ "requests": { "cpu": "1m" } }));
            set(&mut spec.init_containers.as_mut().unwrap()[0], json!({ "requests": { "cpu": "2" } }));
            // Not of this subresource, and so not seen.
            spec.node_name = Some("n".to_owned());
            spec.containers[0].image = Some("other".to_owned());
        });
        assert_eq!(good, Vec::<String>::new());
        let path = "spec.containers[0].resources";
        let first = |resources: Value| errors(|spec| set(&mut spec.containers[0], resources));
        assert_eq!(
            first(json!({ "requests": { "cpu": "3", "memory": "1Gi" }, "limits": { "cpu": "2" } })),
            [format!("{path}.requests: Invalid value: \"3\": must be less than or equal to cpu limit of 2")]
        );
        assert_eq!(
            first(json!({ "requests": { "cpu": "1" }, "limits": {} })),
            [
                format!("{path}.requests: Forbidden: resource requests cannot be removed"),
                format!("{path}.limits: Forbidden: resource limits cannot be removed")
            ]
        );
        let storage = json!({ "requests": { "cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi" }, "limits": { "cpu": "2" } });
        assert_eq!(first(storage), ["spec: Forbidden: only cpu and memory resources are mutable"]);
        let init =
            errors(|spec| set(&mut spec.init_containers.as_mut().unwrap()[1], json!({ "requests": { "cpu": "1" } })));
        let why = "resources for non-sidecar init containers are immutable";
        assert_eq!(init, [format!("spec.initContainers[1].resources: Forbidden: {why}")]);
    }

    #[test]
    fn the_containers_stay_as_they_are() {
        let why = "containers may not be renamed or reordered on resize";
        let path = |index: u8| format!("spec.containers[{index}].name: Forbidden: {why}");
        assert_eq!(errors(|spec| spec.containers.reverse()), [path(0), path(1)]);
        let removed = errors(|spec| drop(spec.containers.pop()));
        assert_eq!(removed, ["spec.containers: Forbidden: containers may not be added or removed on resize"]);
    }

    #[test]
    fn the_class_stays_and_old_kubelets_and_static_pods_are_left_alone() {
        let one = |resources: Value| pod(json!([container("a", resources)]), json!([]));
        let (none, some) = (one(json!({})), one(json!({ "requests": { "cpu": "1" } })));
        assert_eq!(
            texts(&validate(&some, &none)),
            ["spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"]
        );
        let mut running = some.clone();
        let status = json!({ "name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} } });
        running.status = serde_json::from_value(json!({ "containerStatuses": [status] })).unwrap();
        assert_eq!(
            texts(&validate(&some, &running)),
            ["spec: Forbidden: Pod running on node without support for resize"]
        );
        let mut mirror = some.clone();
        mirror.metadata.annotations = Some([(mirror::MIRROR.to_owned(), "x".to_owned())].into());
        assert_eq!(texts(&validate(&some, &mirror)), ["<nil>: Forbidden: static pods cannot be resized"]);
    }

    #[test]
    fn what_a_resize_cannot_change_is_refused_and_not_passed_over() {
        let pod = |spec: serde_json::Value| Pod { spec: serde_json::from_value(spec).unwrap(), ..Pod::default() };
        let containers = json!([{"name": "a", "image": "i"}]);
        let old = pod(json!({"containers": containers, "resources": {"limits": {"cpu": "1"}}}));
        let errors = |asked: serde_json::Value| {
            let mut new = pod(asked);
            keep(&mut new, &old);
            validate(&new, &old).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let said = errors(json!({"containers": containers, "resources": {"limits": {"cpu": "2"}}}));
        assert!(
            said.contains(&"spec.resources: Forbidden: pod-level resources cannot be resized".to_owned()),
            "{said:?}"
        );
        let said = errors(json!({
            "containers": containers, "initContainers": containers, "resources": {"limits": {"cpu": "1"}},
        }));
        let words = "spec.initContainers: Forbidden: initContainers may not be added or removed on resize".to_owned();
        assert!(said.contains(&words), "{said:?}");
    }
}
