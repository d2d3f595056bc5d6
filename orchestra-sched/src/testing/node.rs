use std::{fmt::Display, sync::Arc};

use k8s_openapi::api::core::v1::{ContainerImage, Node, NodeSpec, NodeStatus};
use orchestra_core::scheduler::NodeInfo;

use super::words;

/// A node with 4 CPUs, 8 GiB of memory and room for 110 pods, ready, without taints, and with the label
/// `kubernetes.io/hostname` as kubelets set it.
///
/// ```
/// use orchestra_sched::testing::node;
/// let info = node("n1").cpu("16").memory("64Gi").label("disk", "ssd").taint("dedicated=gpu:NoSchedule").info();
/// assert_eq!(info.allocatable().milli_cpu, 16_000);
/// assert!(info.has_hard_taints());
/// ```
pub fn node(name: impl Into<String>) -> NodeBuilder {
    let name = name.into();
    let mut node = Node::default();
    node.metadata.name = Some(name.clone());
    NodeBuilder { node }.label("kubernetes.io/hostname", name).cpu("4").memory("8Gi").pods(110)
}

/// Makes a node; begun by [`node`].
///
/// # Panics
/// Its methods panic, at the line that calls them, where a text cannot be read.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    node: Node,
}

impl NodeBuilder {
    /// How many CPUs pods may reserve: `"4"`, `"500m"`, 4.
    #[must_use]
    #[track_caller]
    pub fn cpu(self, amount: impl Display) -> Self {
        self.resource("cpu", amount)
    }

    /// How much memory pods may reserve: `"8Gi"`.
    #[must_use]
    #[track_caller]
    pub fn memory(self, amount: impl Display) -> Self {
        self.resource("memory", amount)
    }

    /// How many pods may run there.
    #[must_use]
    #[track_caller]
    pub fn pods(self, amount: impl Display) -> Self {
        self.resource("pods", amount)
    }

    /// How much of any resource pods may reserve: `resource("nvidia.com/gpu", 2)`. It is capacity and allocatable.
    #[must_use]
    #[track_caller]
    pub fn resource(mut self, name: &str, amount: impl Display) -> Self {
        let amount = words::quantity(amount);
        let status = self.status();
        status.capacity.get_or_insert_default().insert(name.to_owned(), amount.clone());
        status.allocatable.get_or_insert_default().insert(name.to_owned(), amount);
        self
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.node.metadata.labels.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// Sets the label `topology.kubernetes.io/zone`.
    #[must_use]
    pub fn zone(self, zone: impl Into<String>) -> Self {
        self.label("topology.kubernetes.io/zone", zone)
    }

    /// Adds a taint in the form of `kubectl taint`: `key=value:Effect` or `key:Effect`.
    #[must_use]
    #[track_caller]
    pub fn taint(mut self, taint: &str) -> Self {
        let taint = words::taint(taint);
        self.spec().taints.get_or_insert_default().push(taint);
        self
    }

    /// Cordons it.
    #[must_use]
    pub fn cordoned(mut self) -> Self {
        self.spec().unschedulable = Some(true);
        self
    }

    /// Says that it has an image of this many bytes.
    #[must_use]
    pub fn image(mut self, name: impl Into<String>, bytes: i64) -> Self {
        let image = ContainerImage { names: Some(vec![name.into()]), size_bytes: Some(bytes) };
        self.status().images.get_or_insert_default().push(image);
        self
    }

    /// Changes whatever there is no method for.
    ///
    /// ```
    /// use orchestra_sched::testing::node;
    /// let node = node("n1").with(|node| node.status = None).info();
    /// assert_eq!(node.allocatable().pods, 0);
    /// ```
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Node)) -> Self {
        change(&mut self.node);
        self
    }

    /// The API object.
    pub fn build(self) -> Node {
        self.node
    }

    /// The node as schedulers see it, without pods.
    pub fn info(self) -> NodeInfo {
        NodeInfo::new(Arc::new(self.node))
    }

    fn spec(&mut self) -> &mut NodeSpec {
        self.node.spec.get_or_insert_default()
    }

    fn status(&mut self) -> &mut NodeStatus {
        self.node.status.get_or_insert_default()
    }
}

impl From<NodeBuilder> for Node {
    fn from(builder: NodeBuilder) -> Self {
        builder.build()
    }
}

impl From<NodeBuilder> for NodeInfo {
    fn from(builder: NodeBuilder) -> Self {
        builder.info()
    }
}
