use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Node;

use super::{AffinityTerms, HostPort, PodInfo, Resources, Taint, images::NodeImages};

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
    lowest_priority: Option<i32>,
    /// How many of them have terms of affinity.
    with_affinity: usize,
    host_ports: Vec<HostPort>,
    attachable_volumes: usize,
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
            lowest_priority: None,
            with_affinity: 0,
            host_ports: Vec::new(),
            attachable_volumes: 0,
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
        info.lowest_priority = self.lowest_priority;
        info.with_affinity = self.with_affinity;
        info.host_ports = self.host_ports.clone();
        info.attachable_volumes = self.attachable_volumes;
        info
    }

    /// Puts `pod` on the node, whether it fits or not.
    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.count(&pod);
        self.host_ports.extend_from_slice(pod.host_ports());
        self.attachable_volumes += pod.attachable_volumes();
        self.lowest_priority = Some(self.lowest_priority.map_or(pod.priority(), |least| least.min(pod.priority())));
        self.with_affinity += usize::from(pod.affinity_terms().is_some());
        self.pods.push(pod);
    }

    /// Takes the pod with this [`id`](PodInfo::id) off the node and returns it, if it is there.
    pub fn remove_pod(&mut self, id: &str) -> Option<Arc<PodInfo>> {
        // The last one first: what was put there on trial is taken off again.
        let position = self.pods.iter().rposition(|pod| &**pod.id() == id)?;
        let pod = self.pods.swap_remove(position);
        if self.lowest_priority == Some(pod.priority()) {
            self.lowest_priority = self.pods.iter().map(|pod| pod.priority()).min();
        }
        self.with_affinity -= usize::from(pod.affinity_terms().is_some());
        self.discount(&pod);
        self.attachable_volumes -= pod.attachable_volumes();
        for port in pod.host_ports() {
            if let Some(position) = self.host_ports.iter().position(|used| used == port) {
                self.host_ports.swap_remove(position);
            }
        }
        Some(pod)
    }

    fn count(&mut self, pod: &PodInfo) {
        self.requested.add(pod.requests());
        self.requested.pods = self.requested.pods.saturating_add(1);
        let (milli_cpu, memory) = self.non_zero_requested;
        self.non_zero_requested =
            (milli_cpu.saturating_add(pod.non_zero_milli_cpu()), memory.saturating_add(pod.non_zero_memory()));
    }

    /// Undoes [`count`](Self::count) for a pod that is among the pods no more.
    fn discount(&mut self, pod: &PodInfo) {
        let (milli_cpu, memory) = self.non_zero_requested;
        if self.requested.is_saturated() || milli_cpu == i64::MAX || memory == i64::MAX {
            // More may have been added than the sum holds: what is left of it is not to be had by subtraction.
            (self.requested, self.non_zero_requested) = Default::default();
            let pods = std::mem::take(&mut self.pods);
            pods.iter().for_each(|pod| self.count(pod));
            self.pods = pods;
            return;
        }
        self.requested.subtract(pod.requests());
        self.requested.pods -= 1;
        self.non_zero_requested = (milli_cpu - pod.non_zero_milli_cpu(), memory - pod.non_zero_memory());
    }

    /// The node without the pods that `leave`, and those pods.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use k8s_openapi::api::core::v1::{Node, Pod};
    /// # use orchestra_core::scheduler::{NodeInfo, PodInfo};
    /// # let mut node = NodeInfo::new(Arc::new(Node::default()));
    /// node.add_pod(Arc::new(PodInfo::from(Pod::default())));
    /// let (emptied, left) = node.without(|pod| pod.priority() < 100);
    /// assert_eq!((node.pods().len(), emptied.pods().len(), left.len()), (1, 0, 1));
    /// ```
    #[must_use]
    pub fn without(&self, leave: impl Fn(&PodInfo) -> bool) -> (Self, Vec<Arc<PodInfo>>) {
        let mut rest = Self {
            name: self.name.clone(),
            node: self.node.clone(),
            allocatable: self.allocatable.clone(),
            requested: Resources::default(),
            non_zero_requested: (0, 0),
            taints: self.taints.clone(),
            images: self.images.clone(),
            pods: Vec::with_capacity(self.pods.len() + 1),
            lowest_priority: None,
            with_affinity: 0,
            host_ports: Vec::new(),
            attachable_volumes: 0,
            ..*self
        };
        let mut left = Vec::with_capacity(self.pods.len());
        for pod in &self.pods {
            if leave(pod) { left.push(pod.clone()) } else { rest.add_pod(pod.clone()) }
        }
        (rest, left)
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

    /// The lowest priority of its pods; `None` if it has none.
    pub fn lowest_priority(&self) -> Option<i32> {
        self.lowest_priority
    }

    /// Those of the pods that have terms of affinity, with these. Where there are none, no pod is looked at.
    pub fn pods_with_affinity(&self) -> impl Iterator<Item = (&Arc<PodInfo>, &AffinityTerms)> {
        let pods = if self.with_affinity == 0 { &[] } else { self.pods.as_slice() };
        pods.iter().filter_map(|pod| Some((pod, pod.affinity_terms()?)))
    }

    /// Those of the pods that have volumes that may have to be attached. Where there are none, no pod is looked at.
    pub fn pods_with_volumes(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        let pods = if self.attachable_volumes == 0 { &[] } else { self.pods.as_slice() };
        pods.iter().filter(|pod| pod.attachable_volumes() > 0)
    }

    /// How many volumes its pods have that may have to be attached, each pod counted for itself
    /// ([`PodInfo::attachable_volumes`]): there are no more, and fewer where pods share them.
    pub fn attachable_volumes(&self) -> usize {
        self.attachable_volumes
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

    /// What the node says that it can (`status.declaredFeatures`, KEP-5328).
    pub fn declared_features(&self) -> &[String] {
        self.node.status.as_ref().and_then(|status| status.declared_features.as_deref()).unwrap_or_default()
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

    fn of_priority(name: &str, priority: i32) -> Arc<PodInfo> {
        let pod = json!({ "metadata": { "name": name, "uid": name },
                          "spec": { "priority": priority, "containers": [{ "name": "c" }] } });
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    #[test]
    fn the_lowest_priority_is_that_of_the_pods_that_are_there() {
        let mut node = NodeInfo::new(Arc::new(Node::default()));
        for (name, priority) in [("a", 5), ("b", 3), ("c", 7), ("d", 3)] {
            node.add_pod(of_priority(name, priority));
        }
        let mut after = |id: &str| {
            node.remove_pod(id);
            node.lowest_priority()
        };
        assert_eq!(["b", "d", "a", "c"].map(&mut after), [Some(3), Some(5), Some(7), None]);
    }

    #[test]
    fn pods_leave_a_copy_of_the_node() {
        let mut node = NodeInfo::new(Arc::new(Node::default()));
        for (name, priority) in [("a", 5), ("b", 3), ("c", 7)] {
            node.add_pod(of_priority(name, priority));
        }
        let (rest, left) = node.without(|pod| pod.priority() < 6);
        assert_eq!((rest.pods().len(), rest.requested().pods, rest.lowest_priority()), (1, 1, Some(7)));
        assert_eq!(left.iter().map(|pod| &**pod.id()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((node.pods().len(), node.requested().pods), (3, 3));
    }

    fn asking(name: &str, amounts: &serde_json::Value) -> Arc<PodInfo> {
        let container = json!({ "name": "c", "resources": { "requests": amounts } });
        let pod = json!({ "metadata": { "name": name, "uid": name }, "spec": { "containers": [container] } });
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    #[test]
    fn pods_that_ask_for_more_than_can_be_counted_leave_no_trace() {
        for amounts in [
            json!({ "memory": "8Ei" }),
            json!({ "cpu": "8E" }),
            json!({ "ephemeral-storage": "7Ei" }),
            json!({ "pods": "8Ei" }),
            json!({ "a/b": "7Ei" }),
        ] {
            let mut node = NodeInfo::new(Arc::new(Node::default()));
            node.add_pod(asking(
                "small",
                &json!({ "cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi", "a/b": "1" }),
            ));
            let sums = |node: &NodeInfo| {
                let amounts =
                    ["cpu", "memory", "ephemeral-storage", "pods", "a/b"].map(|name| node.requested().get(name));
                (amounts, node.non_zero_milli_cpu(), node.non_zero_memory())
            };
            let before = sums(&node);
            node.add_pod(asking("absurd", &amounts));
            let with_one = sums(&node);
            node.add_pod(asking("other", &amounts));
            node.remove_pod("other");
            assert_eq!(sums(&node), with_one, "{amounts}");
            node.remove_pod("absurd");
            assert_eq!(sums(&node), before, "{amounts}");
        }
    }

    #[test]
    fn a_node_is_as_before_when_a_pod_has_come_and_gone() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "uid": "u" },
            "spec": { "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "k" }] } },
                      "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }, { "name": "e", "emptyDir": {} }],
                      "containers": [{ "name": "c", "ports": [{ "containerPort": 1, "hostPort": 80 }],
                                       "resources": { "requests": { "cpu": "1", "a/b": "2" } } }] }
        }))
        .unwrap();
        let mut node = NodeInfo::new(Arc::new(Node::default()));
        node.add_pod(Arc::new(pod.into()));
        assert_eq!((node.requested().milli_cpu, node.requested().pods, node.host_ports().len()), (1000, 1, 1));
        assert_eq!(node.with_node(node.node().clone()).pods_with_affinity().count(), 1);
        assert_eq!((node.attachable_volumes(), node.without(|_| true).0.attachable_volumes()), (1, 0));
        assert!(node.remove_pod("u").is_some());
        assert!(node.remove_pod("u").is_none());
        assert_eq!((node.requested().milli_cpu, node.requested().pods, node.requested().get("a/b")), (0, 0, 0));
        assert_eq!((node.host_ports().len(), node.non_zero_memory(), node.pods_with_affinity().count()), (0, 0, 0));
        assert_eq!(node.attachable_volumes(), 0);
    }
}
