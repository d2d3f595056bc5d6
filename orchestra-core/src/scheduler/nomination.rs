use std::{fmt, sync::Arc};

use imbl::OrdMap;

use super::PodInfo;

/// What an attempt that found no node means for the node that the pod waits for (`status.nominatedNodeName`).
#[derive(Clone, Debug, Default)]
pub enum Nomination {
    /// It waits for none, or not any more.
    #[default]
    None,
    /// It is as it was.
    Kept,
    /// It waits for `node`, which takes it once the victims are gone. Whoever asked for the decision has them deleted.
    For {
        /// The node's name.
        node: Arc<str>,
        /// The pods that have to go, the most important first.
        victims: Vec<Arc<PodInfo>>,
    },
}

impl PartialEq for Nomination {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Kept, Self::Kept) => true,
            (Self::For { node, victims }, Self::For { node: other_node, victims: other_victims }) => {
                node == other_node && victims.iter().map(|pod| pod.id()).eq(other_victims.iter().map(|pod| pod.id()))
            }
            _ => false,
        }
    }
}

impl Eq for Nomination {}

/// The pods that wait for room on a node that was promised to them. Others of no higher priority are kept off that room.
///
/// A clone costs nothing and does not change any more, as that of the [`Snapshot`](super::Snapshot) that it is part of.
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::Pod;
/// use orchestra_core::scheduler::{Nominations, PodInfo};
/// let mut nominations = Nominations::default();
/// let pod = Arc::new(PodInfo::from(Pod::default()));
/// nominations.nominate(pod.clone(), "n1".into());
/// assert_eq!((nominations.on("n1").len(), nominations.of(&pod)), (1, Some("n1")));
/// nominations.withdraw(pod.id());
/// assert!(nominations.is_empty());
/// ```
#[derive(Clone, Default)]
pub struct Nominations {
    by_node: OrdMap<Arc<str>, Vec<Arc<PodInfo>>>,
    by_pod: OrdMap<Arc<str>, Arc<str>>,
}

impl Nominations {
    /// Whether no pod waits for a node.
    pub fn is_empty(&self) -> bool {
        self.by_pod.is_empty()
    }

    /// The pods that wait for room on `node`.
    pub fn on(&self, node: &str) -> &[Arc<PodInfo>] {
        // Mostly nobody waits at all, and this is asked for each node.
        if self.by_node.is_empty() { &[] } else { self.by_node.get(node).map_or(&[], Vec::as_slice) }
    }

    /// The node that `pod` waits for; of one that was not nominated here its status tells.
    pub fn of<'a>(&'a self, pod: &'a PodInfo) -> Option<&'a str> {
        self.by_pod.get(pod.id()).map(|node| &**node).or_else(|| pod.nominated_node())
    }

    /// Notes that `pod` waits for `node`, and for no other.
    pub fn nominate(&mut self, pod: Arc<PodInfo>, node: Arc<str>) {
        self.withdraw(pod.id());
        self.by_pod.insert(pod.id().clone(), node.clone());
        self.by_node.entry(node).or_default().push(pod);
    }

    /// Notes that the pod with this [`id`](PodInfo::id) waits for no node; returns the one that it did wait for.
    pub fn withdraw(&mut self, id: &str) -> Option<Arc<str>> {
        let node = self.by_pod.remove(id)?;
        if let Some(pods) = self.by_node.get_mut(&node) {
            pods.retain(|pod| &**pod.id() != id);
            if pods.is_empty() {
                self.by_node.remove(&node);
            }
        }
        Some(node)
    }

    /// The node that the pod with this id was nominated for.
    pub fn node_of(&self, id: &str) -> Option<&Arc<str>> {
        self.by_pod.get(id)
    }
}

impl fmt::Debug for Nominations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.by_pod.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, node: Option<&str>) -> Arc<PodInfo> {
        let pod = json!({ "metadata": { "name": name, "uid": name }, "status": { "nominatedNodeName": node } });
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    #[test]
    fn a_pod_waits_for_one_node() {
        let mut nominations = Nominations::default();
        nominations.nominate(pod("p", None), "n1".into());
        let before = nominations.clone();
        nominations.nominate(pod("p", None), "n2".into());
        nominations.nominate(pod("q", None), "n2".into());
        assert_eq!((nominations.on("n1").len(), nominations.on("n2").len()), (0, 2));
        assert_eq!(nominations.withdraw("p").as_deref(), Some("n2"));
        assert_eq!(nominations.withdraw("p"), None);
        assert_eq!((nominations.on("n2").len(), before.on("n1").len()), (1, 1));
    }

    #[test]
    fn what_a_pods_status_tells_counts_if_nothing_newer_is_known() {
        let mut nominations = Nominations::default();
        assert_eq!(nominations.of(&pod("p", Some("n1"))), Some("n1"));
        assert_eq!(nominations.of(&pod("p", Some(""))), None);
        nominations.nominate(pod("p", None), "n2".into());
        assert_eq!(nominations.of(&pod("p", Some("n1"))), Some("n2"));
    }
}
