//! What a pod may use in all (`PodLimits` of `k8s.io/component-helpers/resource`).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::api::resource::Quantity,
};
use orchestra_core::scheduler::Resources;

use crate::kubelet::pod::{all_containers, containers, init_containers, is_sidecar};

/// Thousandths of a processor and bytes of memory; `None` where something in the pod has no limit and the pod has none itself.
pub(super) fn limits_of(pod: &Pod) -> (Option<i64>, Option<i64>) {
    let spec = pod.spec.as_ref();
    let own = spec.and_then(|spec| spec.resources.as_ref()?.limits.as_ref()).map(Resources::from_list);
    let sum = at_most(pod, limits);
    let overhead = spec.and_then(|spec| spec.overhead.as_ref()).map(Resources::from_list).unwrap_or_default();
    let limit = |name: &str| {
        let own = own.as_ref().map(|own| own.get(name)).filter(|amount| *amount > 0);
        let limited = || all_containers(pod).all(|container| limits(container).get(name) > 0);
        let limit = own.or_else(|| limited().then(|| sum.get(name)))?;
        Some(limit.saturating_add(overhead.get(name)))
    };
    (limit("cpu"), limit("memory"))
}

fn limits(container: &Container) -> Resources {
    let limits: Option<&BTreeMap<String, Quantity>> = container.resources.as_ref().and_then(|all| all.limits.as_ref());
    limits.map(Resources::from_list).unwrap_or_default()
}

/// What the containers are to have together, at the moment when that is most: init containers run one after the other, beside the sidecars
/// that were started before them.
pub(in crate::kubelet) fn at_most(pod: &Pod, amounts: impl Fn(&Container) -> Resources) -> Resources {
    let (mut sidecars, mut most) = (Resources::default(), Resources::default());
    for container in init_containers(pod) {
        let mut moment = sidecars.clone();
        moment.add(&amounts(container));
        most.raise_to(&moment);
        if is_sidecar(container) {
            sidecars = moment;
        }
    }
    containers(pod).iter().for_each(|container| sidecars.add(&amounts(container)));
    most.raise_to(&sidecars);
    most
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(spec: Value) -> (Option<i64>, Option<i64>) {
        limits_of(&serde_json::from_value(json!({ "spec": spec })).unwrap())
    }

    fn container(cpu: &str) -> Value {
        json!({ "name": "c", "resources": { "limits": { "cpu": cpu } } })
    }

    #[test]
    fn sidecars_run_beside_what_starts_after_them() {
        let sidecar = json!({ "name": "s", "restartPolicy": "Always", "resources": { "limits": { "cpu": "1" } } });
        let spec =
            json!({ "containers": [container("1")], "initContainers": [container("2"), sidecar, container("3")] });
        assert_eq!(of(spec), (Some(4000), None));
        assert_eq!(
            of(json!({ "containers": [container("5")], "initContainers": [sidecar, container("3")] })).0,
            Some(6000)
        );
    }

    #[test]
    fn nothing_is_added_to_no_limit() {
        let spec = json!({ "containers": [container("0"), container("1")], "overhead": { "cpu": "1", "memory": "1" } });
        assert_eq!(of(spec), (None, None));
    }
}
