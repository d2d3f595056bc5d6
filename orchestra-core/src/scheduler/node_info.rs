use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Node;

use super::{HostPort, PodInfo, Resources, Taint, images::NodeImages};

/// A node, the pods on it, and what they leave of it.
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::Node;
/// use orchestra_core::scheduler::{NodeInfo, PodInfo};
/// let mut node = NodeInfo::new(Arc::new(Node::default()));
/// node.add_pod(Arc::new(PodInfo::from(k8s_openapi::api::core::v1::Pod::default())));
/// assert_eq!((node.pods().len(), node.requested().milli_cpu), (1, 0));
/// ```
#[derive(Clone, Debug)]
pub struct NodeInfo {
    name: Arc<str>,
    node: Arc<Node>,
    allocatable: Resources,
    requested: Resources,
    non_zero_requested: (i64, i64),
    taints: Arc<[Taint]>,
    unschedulable: bool,
    has_hard_taints: bool,
    has_soft_taints: bool,
    pods: Vec<Arc<PodInfo>>,
    host_ports: Vec<HostPort>,
    images: NodeImages,
}

impl NodeInfo {
    /// `node` without pods. One without status has nothing to give.
    pub fn new(node: Arc<Node>) -> Self {
        let spec = node.spec.as_ref();
        let taints: Arc<[Taint]> =
            spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten().filter_map(Taint::read).collect();
        Self {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            allocatable: node
                .status
                .as_ref()
                .and_then(|status| status.allocatable.as_ref())
                .map(Resources::from_list)
                .unwrap_or_default(),
            requested: Resources::default(),
            non_zero_requested: (0, 0),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            has_hard_taints: taints.iter().any(|taint| taint.effect.is_hard()),
            has_soft_taints: taints.iter().any(|taint| !taint.effect.is_hard()),
            taints,
            pods: Vec::new(),
            host_ports: Vec::new(),
            images: NodeImages::of(&node),
            node,
        }
    }

    /// `node` with the pods that are on this one.
    #[must_use]
    pub fn with_node(&self, node: Arc<Node>) -> Self {
        let mut info = Self::new(node);
        info.requested = self.requested.clone();
        info.non_zero_requested = self.non_zero_requested;
        info.pods = self.pods.clone();
        info.host_ports = self.host_ports.clone();
        info
    }

    /// Puts `pod` on the node, whether it fits or not.
    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(pod.requests());
        self.requested.pods += 1;
        self.non_zero_requested.0 += pod.non_zero_milli_cpu();
        self.non_zero_requested.1 += pod.non_zero_memory();
        self.host_ports.extend_from_slice(pod.host_ports());
        self.pods.push(pod);
    }

    /// Takes the pod with this [`id`](PodInfo::id) off the node and returns it, if it is there.
    pub fn remove_pod(&mut self, id: &str) -> Option<Arc<PodInfo>> {
        let position = self.pods.iter().position(|pod| &**pod.id() == id)?;
        let pod = self.pods.swap_remove(position);
        self.requested.subtract(pod.requests());
        self.requested.pods -= 1;
        self.non_zero_requested.0 -= pod.non_zero_milli_cpu();
        self.non_zero_requested.1 -= pod.non_zero_memory();
        for port in pod.host_ports() {
            if let Some(position) = self.host_ports.iter().position(|used| used == port) {
                self.host_ports.swap_remove(position);
            }
        }
        Some(pod)
    }

    /// The node's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The API object.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The node's labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.node.metadata.labels.as_ref().unwrap_or(&NONE)
    }

    /// What pods may reserve in all.
    pub fn allocatable(&self) -> &Resources {
        &self.allocatable
    }

    /// What the pods on the node have reserved; `pods` is their number.
    pub fn requested(&self) -> &Resources {
        &self.requested
    }

    /// Thousandths of a CPU reserved, counting 100m for each container that names none.
    pub fn non_zero_milli_cpu(&self) -> i64 {
        self.non_zero_requested.0
    }

    /// Bytes of memory reserved, counting 200Mi for each container that names none.
    pub fn non_zero_memory(&self) -> i64 {
        self.non_zero_requested.1
    }

    /// The pods on the node, in no particular order.
    pub fn pods(&self) -> &[Arc<PodInfo>] {
        &self.pods
    }

    /// The ports that its pods take.
    pub fn host_ports(&self) -> &[HostPort] {
        &self.host_ports
    }

    /// The bytes of the image called `name`; `None` if the node does not have it. Names are those that the kubelet reports, with tag or
    /// digest.
    pub fn image_size(&self, name: &str) -> Option<i64> {
        self.images.size(&self.node, name)
    }

    pub(super) fn images(&self) -> (&NodeImages, &Node) {
        (&self.images, &self.node)
    }

    /// The node's taints that have an effect.
    pub fn taints(&self) -> &[Taint] {
        &self.taints
    }

    /// Whether any taint keeps pods off.
    pub fn has_hard_taints(&self) -> bool {
        self.has_hard_taints
    }

    /// Whether any taint makes the node less liked.
    pub fn has_soft_taints(&self) -> bool {
        self.has_soft_taints
    }

    /// Whether the node is cordoned.
    pub fn is_unschedulable(&self) -> bool {
        self.unschedulable
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_as_before_when_a_pod_has_come_and_gone() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "uid": "u" },
            "spec": { "containers": [{ "name": "c", "ports": [{ "containerPort": 1, "hostPort": 80 }],
                                       "resources": { "requests": { "cpu": "1", "a/b": "2" } } }] }
        }))
        .unwrap();
        let mut node = NodeInfo::new(Arc::new(Node::default()));
        node.add_pod(Arc::new(pod.into()));
        assert_eq!((node.requested().milli_cpu, node.requested().pods, node.host_ports().len()), (1000, 1, 1));
        assert!(node.remove_pod("u").is_some());
        assert!(node.remove_pod("u").is_none());
        assert_eq!((node.requested().milli_cpu, node.requested().pods, node.requested().get("a/b")), (0, 0, 0));
        assert_eq!((node.host_ports().len(), node.non_zero_memory()), (0, 0));
    }
}
