use std::{fmt, sync::Arc};

use imbl::Vector;
use jiff::Timestamp;

use super::{
    NodeInfo, Nominations, Objects, PendingAllocations, generation, images::ImageSpread, node_changes::NodeChanges,
};

/// All nodes at one moment, by name in ascending order, and the other objects that schedulers look at.
///
/// A clone costs nothing and does not change any more: the structure is persistent, so that an update of one node copies that
/// node at most, whatever the cluster's size.
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::Node;
/// use orchestra_core::scheduler::{NodeInfo, Snapshot};
/// let mut node = Node::default();
/// node.metadata.name = Some("n1".to_owned());
/// let mut cluster = Snapshot::from_iter([NodeInfo::new(Arc::new(node))]);
/// let before = cluster.clone();
/// cluster.remove("n1");
/// assert_eq!((before.len(), cluster.len()), (1, 0));
/// ```
#[derive(Clone, Default)]
pub struct Snapshot {
    nodes: Vector<Entry>,
    changes: NodeChanges,
    objects: Objects,
    images: ImageSpread,
    nominations: Nominations,
    pending_allocations: PendingAllocations,
    taken_at: Option<Timestamp>,
}

#[derive(Clone)]
struct Entry {
    generation: u64,
    node: Arc<NodeInfo>,
}

impl Entry {
    fn new(node: Arc<NodeInfo>) -> Self {
        Self { generation: generation::next(), node }
    }
}

impl Snapshot {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<NodeInfo>> {
        self.position(name).ok().and_then(|index| self.nodes.get(index)).map(|entry| &entry.node)
    }

    /// The nodes in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<NodeInfo>> {
        self.nodes.iter().map(|entry| &entry.node)
    }

    /// The same, each with the number of its state. A node that has the same number in two snapshots, related or not, is the same in both, and so are its
    /// pods: what was computed from it need not be computed again.
    ///
    /// ```
    /// # use orchestra_core::scheduler::{NodeInfo, PodInfo, Snapshot};
    /// # use k8s_openapi::api::core::v1::{Node, Pod};
    /// # let mut cluster = Snapshot::from_iter([NodeInfo::new(std::sync::Arc::new(Node::default()))]);
    /// let numbers = |snapshot: &Snapshot| snapshot.generations().map(|(number, _)| number).collect::<Vec<_>>();
    /// let before = cluster.clone();
    /// assert_eq!(numbers(&before), numbers(&cluster));
    /// cluster.update("", |node| node.add_pod(std::sync::Arc::new(PodInfo::from(Pod::default()))));
    /// assert_ne!(numbers(&before), numbers(&cluster));
    /// ```
    pub fn generations(&self) -> impl Iterator<Item = (u64, &Arc<NodeInfo>)> {
        self.nodes.iter().map(|entry| (entry.generation, &entry.node))
    }

    /// The node called `name`, with the number of its state.
    pub fn get_with_generation(&self, name: &str) -> Option<(u64, &Arc<NodeInfo>)> {
        self.position(name).ok().and_then(|index| self.nodes.get(index)).map(|entry| (entry.generation, &entry.node))
    }

    /// The number of the last change of nodes. Two snapshots, related or not, that have the same have the same nodes and pods.
    pub fn generation(&self) -> u64 {
        self.changes.last()
    }

    /// The names of the nodes that came, changed or went since a snapshot with this [`generation`](Self::generation), some more than
    /// once. `None` if that is too long ago, or this one does not come from it: then any node may be another.
    ///
    /// ```
    /// # use orchestra_core::scheduler::{NodeInfo, PodInfo, Snapshot};
    /// # use k8s_openapi::api::core::v1::{Node, Pod};
    /// # let mut cluster = Snapshot::from_iter([NodeInfo::new(std::sync::Arc::new(Node::default()))]);
    /// let before = cluster.generation();
    /// cluster.update("", |node| node.add_pod(std::sync::Arc::new(PodInfo::from(Pod::default()))));
    /// assert_eq!(cluster.changes_since(before).map(Iterator::count), Some(1));
    /// assert!(cluster.changes_since(0).is_none());
    /// ```
    pub fn changes_since(&self, generation: u64) -> Option<impl Iterator<Item = &Arc<str>>> {
        self.changes.since(generation)
    }

    /// Every node once, beginning with the one at index `start` (modulo the number of nodes) and going round.
    pub fn iter_from(&self, start: usize) -> impl Iterator<Item = &Arc<NodeInfo>> {
        let start = start.checked_rem(self.len()).unwrap_or(0);
        let from = |range| self.nodes.focus().narrow(range).into_iter();
        from(start..self.len()).chain(from(0..start)).map(|entry| &entry.node)
    }

    /// Objects of other kinds.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The same, to be changed.
    pub fn objects_mut(&mut self) -> &mut Objects {
        &mut self.objects
    }

    /// How many nodes have the image called `name`, as [`NodeInfo::image_size`] knows it.
    pub fn nodes_with_image(&self, name: &str) -> usize {
        self.images.get(name)
    }

    /// The wall time of the moment, if it was [noted](Self::set_time): decisions that depend on the time take it from here.
    pub fn time(&self) -> Option<Timestamp> {
        self.taken_at
    }

    /// Notes the moment's wall time.
    pub fn set_time(&mut self, now: Timestamp) {
        self.taken_at = Some(now);
    }

    /// The pods that wait for room on a node.
    pub fn nominations(&self) -> &Nominations {
        &self.nominations
    }

    /// The same, to be changed.
    pub fn nominations_mut(&mut self) -> &mut Nominations {
        &mut self.nominations
    }

    /// The devices that pods before this one were given, as far as [`objects`](Self::objects) do not say so yet.
    pub fn pending_allocations(&self) -> &PendingAllocations {
        &self.pending_allocations
    }

    /// The same, to be changed.
    pub fn pending_allocations_mut(&mut self) -> &mut PendingAllocations {
        &mut self.pending_allocations
    }

    /// Adds a node, in the place of the one of its name.
    pub fn insert(&mut self, node: NodeInfo) {
        let entry = Entry::new(Arc::new(node));
        self.changes.note(entry.generation, entry.node.name().clone());
        match self.position(entry.node.name()) {
            Ok(index) => {
                let new = Arc::clone(&entry.node);
                let old = self.nodes.set(index, entry);
                self.images.replace(Some(old.node.images()), Some(new.images()));
            }
            Err(index) => {
                self.images.replace(None, Some(entry.node.images()));
                self.nodes.insert(index, entry);
            }
        }
    }

    /// Changes the node called `name`, or its pods; `None` if there is none. Another API object is told by [`insert`](Self::insert).
    pub fn update<T>(&mut self, name: &str, change: impl FnOnce(&mut NodeInfo) -> T) -> Option<T> {
        let index = self.position(name).ok()?;
        self.nodes.get_mut(index).map(|entry| {
            entry.generation = generation::next();
            self.changes.note(entry.generation, entry.node.name().clone());
            change(Arc::make_mut(&mut entry.node))
        })
    }

    /// Takes out the node called `name`.
    pub fn remove(&mut self, name: &str) -> Option<Arc<NodeInfo>> {
        let node = self.position(name).ok().map(|index| self.nodes.remove(index).node)?;
        self.images.replace(Some(node.images()), None);
        self.changes.note(generation::next(), node.name().clone());
        Some(node)
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|entry| (**entry.node.name()).cmp(name))
    }
}

impl FromIterator<NodeInfo> for Snapshot {
    fn from_iter<I: IntoIterator<Item = NodeInfo>>(nodes: I) -> Self {
        let mut snapshot = Self::default();
        for node in nodes {
            snapshot.insert(node);
        }
        snapshot
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|node| node.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;

    use super::*;

    fn node(name: &str) -> NodeInfo {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        NodeInfo::new(Arc::new(node))
    }

    fn names<'a>(nodes: impl Iterator<Item = &'a Arc<NodeInfo>>) -> Vec<&'a str> {
        nodes.map(|node| &**node.name()).collect()
    }

    #[test]
    fn nodes_are_in_order_and_found_by_name() {
        let snapshot = Snapshot::from_iter([node("c"), node("a"), node("b"), node("a")]);
        assert_eq!(names(snapshot.iter()), ["a", "b", "c"]);
        assert_eq!(&**snapshot.get("b").unwrap().name(), "b");
        assert!(snapshot.get("bb").is_none());
    }

    #[test]
    fn a_round_may_begin_anywhere() {
        let snapshot = Snapshot::from_iter([node("a"), node("b"), node("c")]);
        assert_eq!(names(snapshot.iter_from(2)), ["c", "a", "b"]);
        assert_eq!(names(snapshot.iter_from(7)), ["b", "c", "a"]);
        assert!(names(Snapshot::default().iter_from(3)).is_empty());
    }

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut snapshot = Snapshot::from_iter([node("a")]);
        let before = snapshot.clone();
        let pod = Arc::new(k8s_openapi::api::core::v1::Pod::default().into());
        assert!(snapshot.update("a", |node| node.add_pod(pod)).is_some());
        assert!(snapshot.update("b", |_| ()).is_none());
        assert_eq!(before.get("a").unwrap().pods().len(), 0);
        assert_eq!(snapshot.get("a").unwrap().pods().len(), 1);
    }

    #[test]
    fn nodes_that_came_changed_and_went_are_told() {
        let mut snapshot = Snapshot::from_iter([node("a"), node("b")]);
        let before = snapshot.clone();
        snapshot.insert(node("c"));
        snapshot.update("a", |_| ());
        snapshot.remove("b");
        snapshot.remove("d");
        let names: Vec<&str> = snapshot.changes_since(before.generation()).unwrap().map(|name| &**name).collect();
        assert_eq!(names, ["c", "a", "b"]);
        let mut aside = before.clone();
        aside.update("a", |_| ());
        assert!(snapshot.changes_since(aside.generation()).is_none(), "it went another way");
    }
}
