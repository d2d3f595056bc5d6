//! The nodes that a cluster is to have.

use std::{net::Ipv4Addr, sync::Arc};

use orchestra_core::container_runtime::{Cidr, ContainerRuntime};
use orchestra_store::apiserver::validation::name;

use super::ClusterError;
use crate::{container::memory::MemoryRuntime, kubelet::KubeletBuilder};

/// The second and third byte of the addresses of the first node's pods: those of kubeadm's examples and of flannel.
const FIRST_NETWORK: u16 = 0xf400;

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
    /// The node's runtime: its own, or else one in memory.
    pub(super) fn runtime(&self) -> Arc<dyn ContainerRuntime> {
        self.runtime.clone().unwrap_or_else(|| Arc::new(MemoryRuntime::new()))
    }
}

/// The addresses of the pods on a cluster's node with this number, counted from zero: a /24 each, from `10.244.0.0` on.
pub(super) fn pod_cidr(node: u16) -> Cidr {
    let [second, third] = FIRST_NETWORK.wrapping_add(node).to_be_bytes();
    Cidr::new(Ipv4Addr::new(10, second, third, 0).into(), 24).expect("24 bits are some of the 32")
}
