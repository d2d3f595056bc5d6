//! Which pod goes first: Kubernetes' order (`rankMemoryPressure`, `rankDiskPressureFunc`, `rankPIDPressure`).

use std::{cmp::Reverse, sync::Arc};

use k8s_openapi::api::core::v1::{Container, Pod};
use orchestra_core::quantity::Quantity;

use super::usage::Usage;
use crate::kubelet::{
    node::{critical::is_critical, threshold::Signal},
    source::uid_of,
};

/// The pod to evict: one that uses more than it asked for before others, then the one of the least priority, then the one that uses most
/// beyond what it asked for. Pods that the cluster cannot do without stay.
pub(super) fn first(pods: Vec<Arc<Pod>>, signal: Signal, usage: &Usage) -> Option<Arc<Pod>> {
    let key = |pod: &Arc<Pod>| {
        let excess = excess(pod, signal, usage);
        let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or_default();
        (Reverse(excess > 0), priority, Reverse(excess))
    };
    pods.into_iter().filter(|pod| !is_critical(pod)).min_by_key(key)
}

/// How much more than it asked for the pod uses; below zero if less.
fn excess(pod: &Pod, signal: Signal, usage: &Usage) -> i64 {
    let Some(used) = usage.get(&*uid_of(pod)) else { return 0 };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requested: i64 = containers.map(|container| requested(container, signal)).fold(0, i64::saturating_add);
    let used = used.of_all(signal);
    match signal {
        // Nobody asks for processes, or inodes.
        Signal::PidAvailable | Signal::NodefsInodesFree | Signal::ImagefsInodesFree => 0,
        _ => i64::try_from(used).unwrap_or(i64::MAX).saturating_sub(requested),
    }
}

/// Bytes that a container asks for of what the signal is about.
pub(super) fn requested(container: &Container, signal: Signal) -> i64 {
    let name = if signal == Signal::MemoryAvailable { "memory" } else { "ephemeral-storage" };
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let quantity = requests.and_then(|requests| requests.get(name)?.0.parse::<Quantity>().ok());
    quantity.map_or(0, Quantity::value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{
        super::usage::{PodUsage, Used},
        *,
    };

    fn pod(name: &str, priority: i32, request: &str) -> Arc<Pod> {
        let resources = json!({"requests": {"memory": request}});
        let pod = json!({"metadata": {"name": name, "uid": name},
            "spec": {"priority": priority, "containers": [{"name": "c", "resources": resources}]}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn usage(of: &[(&str, u64)]) -> Usage {
        let one = |memory| PodUsage {
            containers: BTreeMap::from([("c".to_owned(), Used { memory, storage: 0 })]),
            volumes: 0,
        };
        of.iter().map(|(name, memory)| ((*name).to_owned(), one(*memory))).collect()
    }

    #[test]
    fn who_uses_more_than_asked_for_goes_first_then_who_matters_least_then_who_uses_most() {
        let (modest, greedy, greedier) = (pod("modest", 0, "1000"), pod("greedy", 5, "10"), pod("greedier", 5, "0"));
        let dear = pod("dear", 9, "0");
        let critical = pod("critical", 2_000_000_000, "0");
        let usage = usage(&[("modest", 900), ("greedy", 500), ("greedier", 600), ("dear", 700), ("critical", 5_000)]);
        let mut pods = vec![critical, dear, modest, greedy, greedier];
        let mut order = Vec::new();
        while let Some(next) = first(pods.clone(), Signal::MemoryAvailable, &usage) {
            pods.retain(|pod| pod.metadata.name != next.metadata.name);
            order.push(next.metadata.name.clone().unwrap());
        }
        assert_eq!(order, ["greedier", "greedy", "dear", "modest"]);
        let names: Vec<_> = pods.iter().map(|pod| pod.metadata.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["critical"]);
    }

    #[test]
    fn without_usage_priorities_decide() {
        let pods = vec![pod("a", 7, "0"), pod("b", 3, "0")];
        assert_eq!(first(pods, Signal::PidAvailable, &Usage::new()).unwrap().metadata.name.as_deref(), Some("b"));
    }
}
