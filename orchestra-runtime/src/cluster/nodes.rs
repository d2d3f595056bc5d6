//! The nodes that a cluster is to have.

use std::sync::Arc;

use orchestra_core::container_runtime::ContainerRuntime;
use orchestra_store::apiserver::validation::name;

use super::ClusterError;
use crate::{container::memory::MemoryRuntime, kubelet::KubeletBuilder};

type Configure = Box<dyn FnOnce(KubeletBuilder) -> KubeletBuilder + Send>;

/// A node that is to be.
pub(super) struct NodePlan {
    pub(super) name: String,
    runtime: Option<Arc<dyn ContainerRuntime>>,
    pub(super) configure: Configure,
}

/// All nodes that are to be.
#[derive(Default)]
pub(super) struct NodePlans {
    plans: Vec<NodePlan>,
    numbered: usize,
}

impl NodePlans {
    /// What a cluster has that was told of none.
    pub(super) fn one() -> Self {
        let mut plans = Self::default();
        plans.add_numbered(1);
        plans
    }

    pub(super) fn add(&mut self, name: &str, runtime: Arc<dyn ContainerRuntime>, configure: Configure) {
        self.plans.push(NodePlan { name: name.to_owned(), runtime: Some(runtime), configure });
    }

    /// Adds `count` nodes, numbered on from those that were added so before.
    pub(super) fn add_numbered(&mut self, count: usize) {
        let numbers = self.numbered + 1..=self.numbered + count;
        self.numbered += count;
        let plan = |i| NodePlan { name: format!("node-{i}"), runtime: None, configure: Box::new(|kubelet| kubelet) };
        self.plans.extend(numbers.map(plan));
    }

    /// The plans, if each names a node of its own.
    pub(super) fn checked(self) -> Result<Vec<NodePlan>, ClusterError> {
        let mut names = std::collections::HashSet::new();
        for NodePlan { name, .. } in &self.plans {
            if let Some(reason) = name::subdomain(name, false) {
                return Err(ClusterError::InvalidNodeName { name: name.clone(), reason });
            }
            if !names.insert(name) {
                return Err(ClusterError::NodeNamedTwice(name.clone()));
            }
        }
        Ok(self.plans)
    }
}

impl NodePlan {
    /// The node's runtime: its own, or else one in memory that is the `index`th of its cluster.
    pub(super) fn runtime(&self, index: usize) -> Arc<dyn ContainerRuntime> {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        self.runtime.clone().unwrap_or_else(|| Arc::new(MemoryRuntime::new().index(index)))
    }
}
