//! Requests and limits in the kernel's terms (`pkg/kubelet/kuberuntime/kuberuntime_container_linux.go`, `pkg/kubelet/qos`).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::{container_runtime::ContainerResources, quantity::Quantity, scheduler::Resources};
use orchestra_store::apiserver::kinds::pod::qos;

use crate::kubelet::{
    cgroup::at_most,
    pod::{all_containers, is_init, is_sidecar},
    static_pods::is_static,
};

/// Microseconds: the kernel's default.
const CPU_PERIOD: i64 = 100_000;
const MIN_CPU_QUOTA: i64 = 1000;
const CPU_SHARES: std::ops::RangeInclusive<i64> = 2..=262_144;
/// The least weight there is.
pub(in crate::kubelet) const MIN_SHARES: u64 = 2;
const GUARANTEED_OOM_SCORE: i32 = -997;
const BEST_EFFORT_OOM_SCORE: i32 = 1000;
/// The least priority of a pod that the cluster cannot do without.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// What a pod is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

/// The class that the pod's status has, or else that its spec makes.
pub(in crate::kubelet) fn qos_class(pod: &Pod) -> QosClass {
    let of_status = pod.status.as_ref().and_then(|status| status.qos_class.as_deref());
    match of_status.or_else(|| pod.spec.as_ref().map(qos::class)) {
        Some("Guaranteed") => QosClass::Guaranteed,
        Some("Burstable") => QosClass::Burstable,
        _ => QosClass::BestEffort,
    }
}

/// The limits of a container on a node with so much memory, in bytes.
pub(super) fn limits(pod: &Pod, container: &Container, node_memory: i64) -> ContainerResources {
    let cpu_limit = limit(pod, container, "cpu");
    // A container that may use so much and asks for nothing asks for that.
    let cpu_request = amount(requests(container), "cpu").or(cpu_limit).unwrap_or_default();
    ContainerResources {
        cpu_shares: shares(cpu_request.milli_value()),
        cpu_quota: quota(cpu_limit.unwrap_or_default().milli_value()),
        cpu_period: CPU_PERIOD,
        memory_limit: limit(pod, container, "memory").unwrap_or_default().value(),
        oom_score_adj: oom_score(pod, container, node_memory),
        ..ContainerResources::default()
    }
}

fn requests(container: &Container) -> Option<&BTreeMap<String, ApiQuantity>> {
    container.resources.as_ref()?.requests.as_ref()
}

/// What a container may use: what its pod may, if it says nothing (KEP-2837).
fn limit(pod: &Pod, container: &Container, name: &str) -> Option<Quantity> {
    let own = amount(container.resources.as_ref().and_then(|all| all.limits.as_ref()), name);
    let of_pod = || amount(pod.spec.as_ref()?.resources.as_ref()?.limits.as_ref(), name);
    own.filter(|limit| !limit.is_zero()).or_else(of_pod).or(own)
}

fn amount(list: Option<&BTreeMap<String, ApiQuantity>>, name: &str) -> Option<Quantity> {
    list?.get(name).map(parsed)
}

fn parsed(amount: &ApiQuantity) -> Quantity {
    amount.0.parse().unwrap_or_default()
}

/// The weight of so many thousandths of a CPU.
pub(in crate::kubelet) fn shares(milli: i64) -> u64 {
    let shares = milli.saturating_mul(1024) / 1000;
    u64::try_from(shares.clamp(*CPU_SHARES.start(), *CPU_SHARES.end())).unwrap_or_default()
}

/// The microseconds of a period that so many thousandths of a CPU are; all if there is no limit.
pub(in crate::kubelet) fn quota(milli: i64) -> i64 {
    if milli == 0 { 0 } else { (milli.saturating_mul(CPU_PERIOD) / 1000).max(MIN_CPU_QUOTA) }
}

/// Who is killed first when memory runs out: the less of what it uses a container asked for, the sooner.
fn oom_score(pod: &Pod, container: &Container, node_memory: i64) -> i32 {
    if is_node_critical(pod) {
        return GUARANTEED_OOM_SCORE;
    }
    match qos_class(pod) {
        QosClass::Guaranteed => GUARANTEED_OOM_SCORE,
        QosClass::BestEffort => BEST_EFFORT_OOM_SCORE,
        QosClass::Burstable if is_init(pod, container) && is_sidecar(container) => {
            // A sidecar is not to go before the containers that need it.
            let all = pod.spec.iter().flat_map(|spec| &spec.containers);
            let least = all.map(|container| burstable_score(pod, container, node_memory)).min();
            let own = burstable_score(pod, container, node_memory);
            least.map_or(own, |least| own.min(least))
        }
        QosClass::Burstable => burstable_score(pod, container, node_memory),
    }
}

/// What a container's share is of the memory that its pod asks for and no container does.
fn share_of_the_rest(pod: &Pod) -> i64 {
    let of_pod = || amount(pod.spec.as_ref()?.resources.as_ref()?.requests.as_ref(), "memory");
    let Some(asked) = of_pod().map(|asked| asked.value()) else { return 0 };
    let given = at_most(pod, |container| requests(container).map(Resources::from_list).unwrap_or_default()).memory;
    let containers = i64::try_from(all_containers(pod).count()).unwrap_or(i64::MAX);
    asked.saturating_sub(given).checked_div(containers).unwrap_or(0)
}

fn burstable_score(pod: &Pod, container: &Container, node_memory: i64) -> i32 {
    let own = amount(requests(container), "memory").unwrap_or_default().value();
    let request = own.saturating_add(share_of_the_rest(pod));
    let share = request.saturating_mul(1000).checked_div(node_memory).unwrap_or(0);
    let score = i32::try_from(1000_i64.saturating_sub(share)).unwrap_or(i32::MIN);
    // Between the two other classes, whatever was asked for.
    score.clamp(1000 + GUARANTEED_OOM_SCORE, BEST_EFFORT_OOM_SCORE - 1)
}

fn is_node_critical(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let priority = spec.and_then(|spec| spec.priority);
    spec.and_then(|spec| spec.priority_class_name.as_deref()) == Some("system-node-critical")
        && (is_static(pod) || priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::pod, *};

    const NODE_MEMORY: i64 = 8 << 30;

    fn of(resources: Value) -> ContainerResources {
        let pod = pod(json!({ "containers": [{ "name": "c", "resources": resources }] }));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        limits(&pod, container, NODE_MEMORY)
    }

    #[test]
    fn cpu_becomes_shares_and_a_quota() {
        for (request, limit, shares, quota) in [
            (None, None, 2, 0),
            (Some("1m"), None, 2, 0),
            (Some("100m"), None, 102, 0),
            (Some("1"), Some("1500m"), 1024, 150_000),
            (None, Some("2"), 2048, 200_000),
            (Some("0"), Some("5m"), 2, 1000),
            (Some("1000"), None, 262_144, 0),
        ] {
            let mut resources = json!({});
            for (list, amount) in [("requests", request), ("limits", limit)] {
                if let Some(amount) = amount {
                    resources[list] = json!({ "cpu": amount });
                }
            }
            let all = of(resources);
            assert_eq!(
                (all.cpu_shares, all.cpu_quota, all.cpu_period),
                (shares, quota, 100_000),
                "{request:?} {limit:?}"
            );
        }
    }

    #[test]
    fn memory_becomes_a_limit_and_an_order_of_dying() {
        let cpu_and = |memory: &str| json!({ "cpu": "1", "memory": memory });
        for (resources, limit, score) in [
            (json!({}), 0, 1000),
            (json!({ "requests": cpu_and("1Gi"), "limits": cpu_and("1Gi") }), 1 << 30, -997),
            (json!({ "requests": { "memory": "4Gi" } }), 0, 500),
            (json!({ "requests": { "memory": "16Gi" } }), 0, 3),
            (json!({ "requests": { "memory": "1Ki" }, "limits": { "memory": "1Gi" } }), 1 << 30, 999),
        ] {
            let all = of(resources);
            assert_eq!((all.memory_limit, all.oom_score_adj), (limit, score));
        }
    }

    #[test]
    fn what_the_pod_may_use_each_container_may_and_what_it_asks_for_they_share() {
        let pod = pod(json!({
            "resources": { "requests": { "memory": "6Gi" }, "limits": { "cpu": "2", "memory": "7Gi" } },
            "containers": [
                { "name": "a", "resources": { "requests": { "memory": "2Gi" }, "limits": { "memory": "3Gi" } } },
                { "name": "b" },
            ],
        }));
        let of = |number: usize| limits(&pod, &pod.spec.as_ref().unwrap().containers[number], NODE_MEMORY);
        assert_eq!((of(0).cpu_quota, of(0).memory_limit, of(0).oom_score_adj), (200_000, 3 << 30, 500));
        assert_eq!((of(1).cpu_shares, of(1).memory_limit, of(1).oom_score_adj), (2048, 7 << 30, 750));
    }

    #[test]
    fn what_the_node_needs_is_not_killed_and_sidecars_not_before_those_that_they_serve() {
        let critical = pod(json!({ "priorityClassName": "system-node-critical", "priority": 2_000_001_000 }));
        assert_eq!(limits(&critical, &critical.spec.as_ref().unwrap().containers[0], NODE_MEMORY).oom_score_adj, -997);
        let pod = pod(json!({
            "containers": [{ "name": "c", "resources": { "requests": { "memory": "4Gi" } } }],
            "initContainers": [{ "name": "s", "restartPolicy": "Always" }],
        }));
        let sidecar = &pod.spec.as_ref().unwrap().init_containers.as_ref().unwrap()[0];
        assert_eq!(limits(&pod, sidecar, NODE_MEMORY).oom_score_adj, 500);
    }
}
