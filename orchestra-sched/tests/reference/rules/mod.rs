//! Where a pod may go, written down rule by rule from Kubernetes' documentation. It is slow and meant to be obviously right: every rule
//! looks at the API objects anew, for each pod and node, and shares nothing with the plugins.

mod labels;
mod node;
mod pod_affinity;
mod ports;
mod resources;
mod spread;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};

/// What there is. Pods that name a node that is not there are nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<String, Node>,
    /// By uid.
    pub(crate) pods: BTreeMap<String, Pod>,
    pub(crate) namespaces: BTreeMap<String, Namespace>,
}

impl Cluster {
    /// The nodes that `pod` may go to.
    pub(crate) fn feasible_nodes(&self, pod: &Pod) -> BTreeSet<String> {
        let feasible = self.nodes.values().filter(|node| self.may_go(pod, node));
        feasible.map(name).collect()
    }

    /// Everything that there is, to be told.
    pub(crate) fn objects(&self) -> Vec<serde_json::Value> {
        let nodes = self.nodes.values().map(serde_json::to_value);
        let pods = self.pods.values().map(serde_json::to_value);
        let namespaces = self.namespaces.values().map(serde_json::to_value);
        nodes.chain(pods).chain(namespaces).map(|object| object.expect("objects of the API are JSON")).collect()
    }

    fn may_go(&self, pod: &Pod, node: &Node) -> bool {
        node::is_not_cordoned(pod, node)
            && node::is_the_one_named(pod, node)
            && node::has_no_untolerated_taint(pod, node)
            && node::is_selected(pod, node)
            && ports::are_free(self, pod, node)
            && resources::suffice(self, pod, node)
            && spread::stays_even(self, pod, node)
            && pod_affinity::has_near_what_it_needs(self, pod, node)
            && pod_affinity::has_not_near_what_it_shuns(self, pod, node)
            && pod_affinity::is_not_shunned(self, pod, node)
    }

    /// The pods on a node.
    fn pods_on<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Pod> {
        self.placed().filter(move |(_, other)| name(other) == name(node)).map(|(pod, _)| pod)
    }

    /// The pods that are on nodes, with these.
    fn placed(&self) -> impl Iterator<Item = (&Pod, &Node)> {
        self.pods.values().filter_map(|pod| Some((pod, self.nodes.get(node_name(pod)?)?)))
    }
}

fn name(node: &Node) -> String {
    node.metadata.name.clone().unwrap_or_default()
}

fn node_name(pod: &Pod) -> Option<&String> {
    pod.spec.as_ref()?.node_name.as_ref()
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The value of a node's label.
fn label<'a>(node: &'a Node, key: &str) -> Option<&'a String> {
    node.metadata.labels.as_ref()?.get(key)
}
