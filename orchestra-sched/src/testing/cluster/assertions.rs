//! What should be true of a cluster. A failure shows the nodes.

use std::collections::BTreeMap;

use orchestra_core::{scheduler::PodInfo, selector::label::Selector};

use super::{TestCluster, nodes_table};

impl TestCluster {
    /// The pod called `pod` is on `node`.
    #[track_caller]
    pub fn assert_on(&self, pod: &str, node: &str) {
        match self.get_pod(pod).map(|pod| pod.node_name()) {
            Some(Some(on)) if on == node => {}
            Some(Some(on)) => self.fail(&format!("pod {pod} should be on {node}, but is on {on}")),
            Some(None) => self.fail(&format!("pod {pod} should be on {node}, but waits for a node")),
            None => self.fail(&format!("pod {pod} should be on {node}, but there is no such pod")),
        }
    }

    /// No pod waits for a node.
    #[track_caller]
    pub fn assert_nothing_pending(&self) {
        let pending: Vec<String> = self.pending().iter().map(|pod| pod.key().to_string()).collect();
        if !pending.is_empty() {
            self.fail(&format!("{} pods should have a node: {}", pending.len(), pending.join(", ")));
        }
    }

    /// The numbers of the pods that `selector` selects differ by `max_skew` at most between the values that nodes have for the label
    /// `topology_key`: `assert_spread("app=web", "topology.kubernetes.io/zone", 1)`.
    #[track_caller]
    pub fn assert_spread(&self, selector: &str, topology_key: &str, max_skew: usize) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let value = |node: &str| self.nodes.get(node)?.metadata.labels.as_ref()?.get(topology_key).map(String::as_str);
        for value in self.nodes.keys().filter_map(|node| value(node)) {
            counts.entry(value).or_default();
        }
        for pod in self.selected(selector) {
            if let Some(value) = pod.node_name().and_then(value) {
                *counts.entry(value).or_default() += 1;
            }
        }
        let (least, most) = (counts.values().min().copied(), counts.values().max().copied());
        let skew = most.unwrap_or(0) - least.unwrap_or(0);
        if skew > max_skew {
            let counts = counts.iter().map(|(value, count)| format!("{value}: {count}")).collect::<Vec<_>>().join(", ");
            self.fail(&format!(
                "pods with {selector:?} should differ by {max_skew} at most between values of {topology_key}, but differ by {skew} ({counts})"
            ));
        }
    }

    /// The pods that `selector` selects (`""` selects all) are on so many nodes at most.
    #[track_caller]
    pub fn assert_packed(&self, selector: &str, max_nodes: usize) {
        let selector = parse(selector);
        let used = self.used_nodes(|pod| selector.matches(pod.labels()));
        if used.len() > max_nodes {
            let names = used.iter().copied().collect::<Vec<_>>().join(", ");
            self.fail(&format!("pods should be on {max_nodes} nodes at most, but are on {}: {names}", used.len()));
        }
    }

    /// No node has more of anything reserved than it has.
    #[track_caller]
    pub fn assert_not_overcommitted(&self) {
        for node in self.snapshot().iter() {
            let (used, all) = (node.requested(), node.allocatable());
            let mut most = all.clone();
            most.raise_to(used);
            if most != *all {
                self.fail(&format!("node {} has more reserved than it has: {used:?} of {all:?}", node.name()));
            }
        }
    }

    #[track_caller]
    fn selected(&self, selector: &str) -> impl Iterator<Item = &PodInfo> {
        let selector = parse(selector);
        let alive = self.pods.values().filter(|pod| !pod.has_ended());
        alive.filter(move |pod| selector.matches(pod.labels())).map(|pod| &**pod)
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("{what}\n\n{}", nodes_table(&self.snapshot()));
    }
}

#[track_caller]
fn parse(selector: &str) -> Selector {
    match Selector::parse(selector) {
        Ok(selector) => selector,
        Err(error) => panic!("{selector:?} is no label selector: {error}"),
    }
}
