//! No node is over its allocatable: neither in what its pods request, nor in how many they are.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{Verdict, ensure};
use crate::state::{State, is_finished, node_of};

pub(crate) struct Nodes;

impl Nodes {
    pub(crate) fn check(&self, state: &State) -> Verdict {
        let mut used = BTreeMap::<&str, (i64, i64)>::new();
        for pod in state.pods.values().filter(|pod| !is_finished(pod)) {
            if let Some(node) = node_of(pod) {
                let (cpu, pods) = used.entry(node).or_default();
                *cpu += requested_millis(pod);
                *pods += 1;
            }
        }
        state.nodes.values().try_for_each(|node| {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let (cpu, pods) = used.get(name).copied().unwrap_or_default();
            fits(name, "milli-CPUs", cpu, allocatable(node, "cpu").map(millis))?;
            fits(name, "pods", pods, allocatable(node, "pods").and_then(|pods| pods.0.parse().ok()))
        })
    }
}

fn fits(node: &str, what: &str, used: i64, allocatable: Option<i64>) -> Verdict {
    ensure(allocatable.is_some_and(|allocatable| used <= allocatable), || {
        format!("node {node}: {used} {what} in use of {allocatable:?}")
    })
}

fn allocatable<'a>(node: &'a Node, resource: &str) -> Option<&'a Quantity> {
    node.status.as_ref()?.allocatable.as_ref()?.get(resource)
}

fn requested_millis(pod: &Pod) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requests = containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref()?.get("cpu"));
    requests.map(millis).sum()
}

/// CPUs, of which the seeds use whole ones and thousandths.
fn millis(cpu: &Quantity) -> i64 {
    let number = |text: &str| text.parse::<i64>().expect("a whole number");
    cpu.0.strip_suffix('m').map_or_else(|| number(&cpu.0) * 1000, number)
}
