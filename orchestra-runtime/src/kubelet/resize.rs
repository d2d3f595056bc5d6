//! In-place resize (KEP-1287): what a pod's containers are to have changes while they run.
//!
//! ```text
//!   desired (the spec) ──► allocated (what the node grants) ──► actual (what the runtime was told)
//!              manager: is there room?          sync: update, or restart
//! ```
//! The kubelet works on the pod as it is allocated: the API's pod with the resources that the node grants.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use orchestra_core::scheduler::{PodInfo, Resources};
use serde_json::json;

use super::{
    admission,
    pod::{all_containers, containers, init_containers, is_sidecar},
};

/// What changes in place.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// What containers have, by name.
pub(super) type Amounts = BTreeMap<String, ResourceRequirements>;

/// Why the node does not grant what a pod asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// `Deferred`: later perhaps; `Infeasible`: never.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The generation of the pod that asks.
    pub(super) generation: Option<i64>,
}

/// What a running container still has while it is to have something else.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) amounts: ResourceRequirements,
    /// Why the change failed, and when to try again.
    pub(super) failed: Option<(String, Timestamp)>,
}

/// What the pod's containers are to have.
pub(super) fn amounts(pod: &Pod) -> Amounts {
    all_containers(pod).map(|container| (container.name.clone(), resources(container))).collect()
}

fn resources(container: &Container) -> ResourceRequirements {
    container.resources.clone().unwrap_or_default()
}

/// Whether the containers of both are to have the same.
pub(super) fn is_same(one: &Pod, other: &Pod) -> bool {
    let lists = |pod: &Pod| [init_containers(pod).len(), containers(pod).len()];
    let pairs = all_containers(one).zip(all_containers(other));
    lists(one) == lists(other) && pairs.into_iter().all(|(one, other)| one.resources == other.resources)
}

/// The pod with these amounts.
pub(super) fn with(pod: &Arc<Pod>, amounts: &Amounts) -> Arc<Pod> {
    let mut pod = (**pod).clone();
    let Some(spec) = &mut pod.spec else { return Arc::new(pod) };
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        if let Some(amount) = amounts.get(&container.name) {
            container.resources = Some(amount.clone());
        }
    }
    Arc::new(pod)
}

/// What a kubelet before this one gave the pod's containers, by their statuses; `None` if that is what they are to have.
pub(super) fn granted(pod: &Pod) -> Option<Amounts> {
    let status = pod.status.as_ref()?;
    let statuses = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let mut found = Amounts::new();
    for status in statuses.filter(|status| status.state.as_ref().is_some_and(|state| state.running.is_some())) {
        let Some(has) = &status.resources else { continue };
        let container = all_containers(pod).find(|container| container.name == status.name)?;
        if changed(has, &resources(container)).next().is_some() {
            found.insert(status.name.clone(), has.clone());
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The resizable resources of which one has another amount than the other.
fn changed<'a>(
    one: &'a ResourceRequirements,
    other: &'a ResourceRequirements,
) -> impl Iterator<Item = &'static str> + 'a {
    fn amount<'a>(list: &'a Option<BTreeMap<String, Quantity>>, name: &str) -> Option<&'a Quantity> {
        list.as_ref().and_then(|list| list.get(name))
    }
    RESIZABLE.into_iter().filter(|name| {
        amount(&one.requests, name) != amount(&other.requests, name)
            || amount(&one.limits, name) != amount(&other.limits, name)
    })
}

/// How a container that has `held` comes to what it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It has that already.
    None,
    InPlace,
    Restart,
}

impl Way {
    pub(super) fn of(container: &Container, held: &ResourceRequirements) -> Self {
        let policies = container.resize_policy.as_deref().unwrap_or_default();
        let restarts = |name: &str| {
            policies.iter().any(|policy| policy.resource_name == name && policy.restart_policy == "RestartContainer")
        };
        let wanted = resources(container);
        let mut changed = changed(held, &wanted).peekable();
        match () {
            () if changed.peek().is_none() => Self::None,
            () if changed.any(restarts) => Self::Restart,
            () => Self::InPlace,
        }
    }
}

/// What the pod takes of the node, by its spec alone: what its status says is of the past.
pub(super) fn requests(pod: &Arc<Pod>) -> Resources {
    let counted = match pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()) {
        Some(_) => Arc::new(Pod { status: None, ..(**pod).clone() }),
        None => Arc::clone(pod),
    };
    PodInfo::new(counted).requests().clone()
}

/// Why a pod that now asks for `requests` does not get them beside `pods` others that have `used` of `capacity`.
pub(super) fn judge(
    pod: &Pod,
    requests: &Resources,
    used: &Resources,
    pods: i64,
    capacity: &Resources,
) -> Option<Pending> {
    let pending = |reason, message| Some(Pending { reason, message, generation: pod.metadata.generation });
    for (name, asked, all) in
        [("memory", requests.memory, capacity.memory), ("cpu", requests.milli_cpu, capacity.milli_cpu)]
    {
        if asked > all {
            let message = format!("Node didn't have enough capacity: {name}, requested: {asked}, capacity: {all}");
            return pending("Infeasible", message);
        }
    }
    let (_, message) = admission::lack_of_room(requests, used, pods, capacity)?;
    pending("Deferred", message)
}

/// What events tell of a resize: the amounts as JSON.
pub(super) fn details(pod: &Pod, error: Option<&str>) -> String {
    let sidecars = init_containers(pod).iter().filter(|container| is_sidecar(container));
    let all: Vec<_> = sidecars
        .chain(containers(pod))
        .map(|container| json!({ "name": container.name, "resources": resources(container) }))
        .collect();
    let all = serde_json::Value::from(all);
    let generation = pod.metadata.generation.unwrap_or_default();
    let error = error.map(|error| format!(",\"error\":{}", json!(error))).unwrap_or_default();
    // By hand, as Go keeps the order of fields.
    format!("{{\"containers\":{all},\"generation\":{generation}{error}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(resources: serde_json::Value) -> Arc<Pod> {
        let container = json!({ "name": "c", "resources": resources,
            "resizePolicy": [{ "resourceName": "memory", "restartPolicy": "RestartContainer" }] });
        let pod = json!({ "metadata": { "generation": 3 }, "spec": { "containers": [container] } });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn what_changes_says_how() {
        let held = ResourceRequirements::default();
        let way = |resources| Way::of(&containers(&pod(resources))[0], &held);
        assert_eq!(way(json!({})), Way::None);
        assert_eq!(way(json!({ "requests": { "ephemeral-storage": "1" } })), Way::None);
        assert_eq!(way(json!({ "limits": { "cpu": "1" } })), Way::InPlace);
        assert_eq!(way(json!({ "limits": { "cpu": "1", "memory": "1Gi" } })), Way::Restart);
    }

    #[test]
    fn what_the_node_never_has_is_infeasible_and_what_others_have_is_deferred() {
        let amount = |milli_cpu, memory| Resources { milli_cpu, memory, pods: 9, ..Resources::default() };
        let (pod, all) = (pod(json!({})), amount(1000, 1000));
        let judged = |asked: &Resources, used: &Resources| {
            judge(&pod, asked, used, 1, &all).map(|pending| format!("{}: {}", pending.reason, pending.message))
        };
        assert_eq!(judged(&amount(400, 1000), &amount(600, 0)), None);
        assert_eq!(
            judged(&amount(401, 0), &amount(600, 0)).unwrap(),
            "Deferred: Node didn't have enough resource: cpu, requested: 401, used: 600, capacity: 1000"
        );
        assert_eq!(
            judged(&amount(1001, 1001), &amount(0, 0)).unwrap(),
            "Infeasible: Node didn't have enough capacity: memory, requested: 1001, capacity: 1000"
        );
    }

    #[test]
    fn events_tell_amounts_as_kubernetes_does() {
        let pod = pod(json!({ "requests": { "cpu": "1" }, "limits": { "cpu": "2" } }));
        let containers = r#""containers":[{"name":"c","resources":{"limits":{"cpu":"2"},"requests":{"cpu":"1"}}}]"#;
        assert_eq!(details(&pod, None), format!("{{{containers},\"generation\":3}}"));
        assert_eq!(details(&pod, Some("x")), format!("{{{containers},\"generation\":3,\"error\":\"x\"}}"));
    }
}
