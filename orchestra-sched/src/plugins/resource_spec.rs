//! Resources that plugins compare nodes by.

use std::{collections::BTreeMap, sync::Arc};

use orchestra_core::{
    field::{Error, Errors, Path},
    scheduler::{NodeInfo, PodInfo},
    validation::qualified_name,
};
use serde::Deserialize;

use crate::framework::MAX_NODE_SCORE;

/// A resource that counts when nodes are compared (`ResourceSpec` of kubescheduler.config.k8s.io/v1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceSpec {
    /// Its name: `cpu`, `memory`, `nvidia.com/gpu`.
    pub name: String,
    /// How much it counts, from 1 to 100; zero, or none, is 1.
    #[serde(default)]
    pub weight: i64,
}

impl ResourceSpec {
    /// CPU and memory, which count alike.
    pub fn cpu_and_memory() -> Vec<Self> {
        ["cpu", "memory"].map(|name| Self { name: name.to_owned(), weight: 1 }).into()
    }

    pub(super) fn with_default_weight(mut self) -> Self {
        if self.weight == 0 {
            self.weight = 1;
        }
        self
    }
}

/// What is wrong with weights that may differ.
pub(super) fn validate_weights(resources: &[ResourceSpec], path: &Path) -> Errors {
    let wrong = resources.iter().enumerate().filter(|(_, resource)| !(1..=100).contains(&resource.weight));
    let error = |(index, resource): (usize, &ResourceSpec)| {
        let why = format!("resource weight of {} not in valid range (0, 100]", resource.name);
        Error::invalid(&path.index(index).child("weight"), resource.weight, why)
    };
    wrong.map(error).collect()
}

/// Whether the resource is one that Kubernetes itself knows nothing of: `nvidia.com/gpu`.
pub(crate) fn is_extended(name: &str) -> bool {
    let is_native = !name.contains('/') || name.contains("kubernetes.io/");
    !is_native && !name.starts_with("requests.") && qualified_name::key(&format!("requests.{name}")).is_empty()
}

/// A resource, told apart once and not for each node.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Cpu,
    Memory,
    EphemeralStorage,
    /// By name. Of pods that do not ask for it, nodes are not compared by it.
    Scalar(Arc<str>),
}

/// A resource of which nodes' shares are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compared {
    kind: Kind,
    pub(super) weight: i64,
}

/// How much of a resource a node has and will have reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    /// By the pods that are on it.
    pub(super) before: i64,
    /// With the pod in question.
    pub(super) after: i64,
    /// In all; never zero.
    pub(super) capacity: i64,
}

/// Which requests count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// As they are.
    Exact,
    /// Containers that name no CPU or memory count with a default.
    WithDefaults,
}

impl Compared {
    pub(super) fn of(spec: &ResourceSpec) -> Self {
        let kind = match spec.name.as_str() {
            "cpu" => Kind::Cpu,
            "memory" => Kind::Memory,
            "ephemeral-storage" => Kind::EphemeralStorage,
            name => Kind::Scalar(name.into()),
        };
        Self { kind, weight: spec.weight }
    }

    /// What the pod asks for.
    pub(super) fn wanted(&self, pod: &PodInfo, counting: Counting) -> i64 {
        match (&self.kind, counting) {
            (Kind::Cpu, Counting::Exact) => pod.requests().milli_cpu,
            (Kind::Cpu, Counting::WithDefaults) => pod.non_zero_milli_cpu(),
            (Kind::Memory, Counting::Exact) => pod.requests().memory,
            (Kind::Memory, Counting::WithDefaults) => pod.non_zero_memory(),
            (Kind::EphemeralStorage, _) => pod.requests().ephemeral_storage,
            (Kind::Scalar(name), _) => pod.requests().scalars.get(name).copied().unwrap_or(0),
        }
    }

    /// How much is reserved on `node`; `None` where the resource does not count.
    pub(super) fn reserved(&self, pod: &PodInfo, node: &NodeInfo, counting: Counting) -> Option<Reserved> {
        let wanted = self.wanted(pod, counting);
        let (capacity, before) = match (&self.kind, counting) {
            (Kind::Cpu, Counting::Exact) => (node.allocatable().milli_cpu, node.requested().milli_cpu),
            (Kind::Cpu, Counting::WithDefaults) => (node.allocatable().milli_cpu, node.non_zero_milli_cpu()),
            (Kind::Memory, Counting::Exact) => (node.allocatable().memory, node.requested().memory),
            (Kind::Memory, Counting::WithDefaults) => (node.allocatable().memory, node.non_zero_memory()),
            (Kind::EphemeralStorage, _) => (node.allocatable().ephemeral_storage, node.requested().ephemeral_storage),
            (Kind::Scalar(_), _) if wanted == 0 => return None,
            (Kind::Scalar(name), _) => {
                let amount = |scalars: &BTreeMap<Arc<str>, i64>| scalars.get(name).copied().unwrap_or(0);
                (amount(&node.allocatable().scalars), amount(&node.requested().scalars))
            }
        };
        (capacity > 0).then(|| Reserved { before, after: before.saturating_add(wanted), capacity })
    }
}

/// The share that `part` is of `whole`, up to [`MAX_NODE_SCORE`], rounded down. `whole` is not zero.
pub(super) fn share(part: i64, whole: i64) -> i64 {
    let part = part.clamp(0, whole.max(0));
    match part.checked_mul(MAX_NODE_SCORE) {
        Some(scaled) => scaled.checked_div(whole),
        None => part.checked_div(whole / MAX_NODE_SCORE),
    }
    .map_or(0, |share| share.min(MAX_NODE_SCORE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_amounts_do_not_overflow() {
        assert_eq!((share(i64::MAX, i64::MAX), share(i64::MAX, 1), share(i64::MIN, 1)), (100, 100, 0));
        assert_eq!((share(1, 0), share(0, i64::MAX), share(1, 3)), (0, 0, 33));
    }

    #[test]
    fn extended_resources_have_a_domain_that_is_not_kubernetes_own() {
        for (name, expected) in [
            ("nvidia.com/gpu", true),
            ("cpu", false),
            ("hugepages-2Mi", false),
            ("kubernetes.io/x", false),
            ("node.kubernetes.io/x", false),
            ("requests.nvidia.com/gpu", false),
            ("a b/c", false),
        ] {
            assert_eq!(is_extended(name), expected, "{name}");
        }
    }
}
