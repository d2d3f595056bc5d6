//! The cluster as the scheduler sees it: nodes, the pods on them, and the pods it has just sent there.

mod assumed_objects;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::api::{core::v1::Node, resource::v1::ResourceClaim};
use orchestra_core::{
    ObjectKey,
    scheduler::{NodeInfo, ObjectChange, Objects, Placement, PodInfo, Reservation, Snapshot},
};
use tokio::time::Instant;

use self::assumed_objects::AssumedObjects;

/// Nodes with their pods, kept up to date change by change.
///
/// A pod may be told of before its node, and a node may go before its pods: nothing depends on the order. A pod for which the
/// scheduler has chosen a node is *assumed* there until the API server tells so, or until it is forgotten because the binding
/// failed; so the next decision counts with it. Taking a [snapshot](Self::snapshot) costs the same for any number of nodes.
#[derive(Clone, Debug, Default)]
pub struct ClusterCache {
    nodes: Snapshot,
    /// Every pod that has a node, by its id.
    placed: HashMap<Arc<str>, Placed>,
    /// The pods of nodes that are not known, by node and id.
    homeless: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<PodInfo>>>,
    /// The assumed ones among the placed, with the time when they expire; without while their binding is under way.
    assumed: BTreeMap<Arc<str>, Option<Instant>>,
    /// The volumes and claims that are reserved.
    reserved: AssumedObjects,
}

/// How much a [`ClusterCache`] keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheSizes {
    /// Nodes.
    pub nodes: usize,
    /// Pods that have a node.
    pub pods: usize,
    /// Those of them of which the API server has not told so yet.
    pub assumed_pods: usize,
}

#[derive(Clone, Debug)]
struct Placed {
    node: Arc<str>,
    pod: Arc<PodInfo>,
}

/// Counts `pod` as being where `placement` puts it, in a snapshot that is nobody else's. `false` if the node is not there.
pub(crate) fn assume_in(snapshot: &mut Snapshot, pod: &Arc<PodInfo>, placement: &Placement) -> bool {
    if snapshot.update(&placement.node, |node| node.add_pod(Arc::clone(pod))).is_none() {
        return false;
    }
    snapshot.nominations_mut().withdraw(pod.id());
    for claim in &placement.claims {
        snapshot.pending_allocations_mut().insert(claim.clone());
    }
    AssumedObjects::default().reserve(snapshot.objects_mut(), &placement.volumes, &placement.node);
    true
}

impl ClusterCache {
    /// All nodes and pods as of now.
    pub fn snapshot(&self) -> Snapshot {
        self.nodes.clone()
    }

    /// The objects that are neither nodes nor pods.
    pub fn objects(&self) -> &Objects {
        self.nodes.objects()
    }

    /// How much is kept.
    pub fn sizes(&self) -> CacheSizes {
        CacheSizes { nodes: self.nodes.len(), pods: self.placed.len(), assumed_pods: self.assumed.len() }
    }

    /// Adds a node or replaces it, with the pods that are known to be on it. Returns it as it was.
    pub fn set_node(&mut self, node: Arc<Node>) -> Option<Arc<NodeInfo>> {
        let name = node.metadata.name.clone().unwrap_or_default();
        let old = self.nodes.get(&name).cloned();
        let mut info = match &old {
            Some(old) => old.with_node(node),
            None => NodeInfo::new(node),
        };
        for pod in self.homeless.remove(&*name).into_iter().flatten().map(|(_, pod)| pod) {
            info.add_pod(pod);
        }
        self.nodes.insert(info);
        old
    }

    /// Removes a node. Its pods are remembered: they may outlive it, and it may come back.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(node) = self.nodes.remove(name).filter(|node| !node.pods().is_empty()) {
            let pods = node.pods().iter().map(|pod| (pod.id().clone(), pod.clone())).collect();
            self.homeless.insert(node.name().clone(), pods);
        }
    }

    /// Adds or replaces a pod that the API server says is on a node. An assumption about it is settled by that.
    /// Returns the pod as it was, if it was known.
    pub fn set_pod(&mut self, pod: Arc<PodInfo>) -> Option<Arc<PodInfo>> {
        let node: Arc<str> = pod.node_name()?.into();
        self.withdraw(pod.id());
        let old = self.remove_pod(&pod.id().clone());
        self.place(pod, node);
        old
    }

    /// Removes a pod, assumed or not, and returns it if it was known.
    pub fn remove_pod(&mut self, id: &str) -> Option<Arc<PodInfo>> {
        self.assumed.remove(id);
        let Placed { node, pod } = self.placed.remove(id)?;
        if self.nodes.update(&node, |info| info.remove_pod(id)).is_none()
            && let Some(pods) = self.homeless.get_mut(&node)
        {
            pods.remove(id);
            if pods.is_empty() {
                self.homeless.remove(&node);
            }
        }
        Some(pod)
    }

    /// Counts `pod` as being on `node`, before the API server knows. `false` if the node is gone, or the pod has a node already.
    pub fn assume(&mut self, pod: Arc<PodInfo>, node: &str) -> bool {
        let Some(node) = self.nodes.get(node).map(|node| node.name().clone()) else { return false };
        if self.placed.contains_key(pod.id()) {
            return false;
        }
        self.assumed.insert(pod.id().clone(), None);
        self.withdraw(pod.id());
        self.place(pod, node);
        true
    }

    /// The binding of an assumed pod succeeded: if the API server has not told of it at `expires`, it did not last.
    pub fn finish_binding(&mut self, id: &str, expires: Option<Instant>) {
        if let Some(deadline) = self.assumed.get_mut(id) {
            *deadline = expires;
        }
    }

    /// The binding of an assumed pod failed. Returns the pod, unless it is not assumed any more.
    pub fn forget(&mut self, id: &str) -> Option<Arc<PodInfo>> {
        self.assumed.contains_key(id).then(|| self.remove_pod(id)).flatten()
    }

    /// Forgets the assumed pods whose time is over, and returns them.
    pub fn expire(&mut self, now: Instant) -> Vec<Arc<PodInfo>> {
        let over = |deadline: &Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let ids: Vec<Arc<str>> =
            self.assumed.iter().filter(|(_, deadline)| over(deadline)).map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.forget(id)).collect()
    }

    /// When the next assumption expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.assumed.values().flatten().min().copied()
    }

    /// Counts volumes as kept for the claims that they were chosen for, and devices as taken, before the API server knows; returns what is
    /// to be written of volumes. What is gone, or was so already, is left out.
    pub fn reserve(&mut self, placement: &Placement) -> Vec<Reservation> {
        for claim in &placement.claims {
            self.nodes.pending_allocations_mut().insert(claim.clone());
        }
        self.reserved.reserve(self.nodes.objects_mut(), &placement.volumes, &placement.node)
    }

    /// A claim that was to be made is: its devices stay taken.
    pub fn claim_made(&mut self, decided: &ObjectKey, made: &ResourceClaim) {
        self.nodes.pending_allocations_mut().made(decided, made);
    }

    /// The devices of a claim are written: they stay taken until the API server tells of that.
    pub fn devices_written(&mut self, claim: &ObjectKey, version: &str) {
        self.nodes.pending_allocations_mut().written(claim, version);
    }

    /// Takes devices back that did not come to the API server.
    pub fn release<'a>(&mut self, claims: impl IntoIterator<Item = &'a ObjectKey>) {
        for claim in claims {
            self.nodes.pending_allocations_mut().withdraw(claim);
        }
    }

    /// Takes reservations back that did not come to the API server, and returns what that changed. What the API server has told of
    /// since, or somebody else has reserved, stays as it is.
    pub fn take_back(&mut self, reservations: &[Reservation]) -> Vec<ObjectChange> {
        self.reserved.take_back(self.nodes.objects_mut(), reservations)
    }

    /// An object that is neither node nor pod changed. One that is reserved stays so until the API server tells of a newer state.
    pub fn apply(&mut self, change: &ObjectChange) {
        if let Some(claim) = change.of::<ResourceClaim>() {
            self.nodes.pending_allocations_mut().told(claim);
        }
        self.reserved.apply(self.nodes.objects_mut(), change);
    }

    /// Promises `pod` room on `node`: others of no higher priority are kept off it.
    pub fn nominate(&mut self, pod: Arc<PodInfo>, node: Arc<str>) {
        self.nodes.nominations_mut().nominate(pod, node);
    }

    /// Takes a promise back; returns the node that the pod was promised room on.
    pub fn withdraw(&mut self, id: &str) -> Option<Arc<str>> {
        self.nodes.nominations_mut().withdraw(id)
    }

    /// The node that the pod was promised room on.
    pub fn nomination(&self, id: &str) -> Option<&Arc<str>> {
        self.nodes.nominations().node_of(id)
    }

    /// Takes the promises of room on `node` back from all pods that `loses` names, and returns those.
    pub fn withdraw_on(&mut self, node: &str, loses: impl Fn(&PodInfo) -> bool) -> Vec<Arc<PodInfo>> {
        let on_node = self.nodes.nominations().on(node).iter();
        let lost: Vec<_> = on_node.filter(|pod| loses(pod)).cloned().collect();
        for pod in &lost {
            self.withdraw(pod.id());
        }
        lost
    }

    /// The API server tells of a pod without a node. What its status says of a nominated node counts if that is new (`before` is what it
    /// said then); else what is known here does, which may be newer.
    pub fn set_waiting(&mut self, pod: &Arc<PodInfo>, before: Option<&str>) {
        let node = match pod.nominated_node() {
            told if told != before => told.map(Arc::from),
            _ => self.nomination(pod.id()).cloned(),
        };
        match node {
            Some(node) => self.nominate(pod.clone(), node),
            None => drop(self.withdraw(pod.id())),
        }
    }

    /// Whether the pod has a node and is not going to leave it, as far as is known.
    pub fn stays(&self, id: &str) -> bool {
        self.placed.get(id).is_some_and(|placed| !placed.pod.is_terminating())
    }

    /// Whether the pod is known to be on a node, or assumed to.
    pub fn contains(&self, id: &str) -> bool {
        self.placed.contains_key(id)
    }

    fn place(&mut self, pod: Arc<PodInfo>, node: Arc<str>) {
        if self.nodes.update(&node, |info| info.add_pod(pod.clone())).is_none() {
            self.homeless.entry(node.clone()).or_default().insert(pod.id().clone(), pod.clone());
        }
        self.placed.insert(pod.id().clone(), Placed { node, pod });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
    use orchestra_core::{informer::Change, scheduler::VolumeChoice};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn node(name: &str) -> Arc<Node> {
        Arc::new(serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap())
    }

    fn pod(name: &str, node: Option<&str>) -> Arc<PodInfo> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "uid": name },
            "spec": { "nodeName": node, "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1" } } }] },
        }))
        .unwrap();
        Arc::new(pod.into())
    }

    fn cpu(cache: &ClusterCache, node: &str) -> Option<i64> {
        cache.snapshot().get(node).map(|node| node.requested().milli_cpu)
    }

    #[test]
    fn a_pod_may_come_before_its_node() {
        let mut cache = ClusterCache::default();
        cache.set_pod(pod("p", Some("n1")));
        cache.set_node(node("n1"));
        assert_eq!(cpu(&cache, "n1"), Some(1000));
    }

    #[test]
    fn a_node_that_comes_back_has_its_pods() {
        let mut cache = ClusterCache::default();
        cache.set_node(node("n1"));
        cache.set_pod(pod("p", Some("n1")));
        cache.set_pod(pod("q", Some("n1")));
        cache.remove_node("n1");
        cache.remove_pod("q");
        cache.set_node(node("n1"));
        assert_eq!(cpu(&cache, "n1"), Some(1000));
    }

    #[test]
    fn an_assumed_pod_counts_once_when_it_is_confirmed() {
        let mut cache = ClusterCache::default();
        cache.set_node(node("n1"));
        assert!(cache.assume(pod("p", None), "n1"));
        assert_eq!(cpu(&cache, "n1"), Some(1000));
        cache.set_pod(pod("p", Some("n1")));
        assert_eq!(cpu(&cache, "n1"), Some(1000));
        assert!(cache.forget("p").is_none(), "a confirmed pod is not forgotten");
    }

    #[test]
    fn a_pod_that_was_bound_elsewhere_moves() {
        let mut cache = ClusterCache::default();
        cache.set_node(node("n1"));
        cache.set_node(node("n2"));
        cache.assume(pod("p", None), "n1");
        cache.set_pod(pod("p", Some("n2")));
        assert_eq!((cpu(&cache, "n1"), cpu(&cache, "n2")), (Some(0), Some(1000)));
    }

    #[test]
    fn a_forgotten_pod_leaves_room() {
        let mut cache = ClusterCache::default();
        cache.set_node(node("n1"));
        cache.assume(pod("p", None), "n1");
        assert!(!cache.assume(pod("p", None), "n1"));
        assert!(cache.forget("p").is_some());
        assert_eq!(cpu(&cache, "n1"), Some(0));
        assert!(!cache.assume(pod("p", None), "n2"), "there is no such node");
    }

    fn waiting(name: &str, node: Option<&str>) -> Arc<PodInfo> {
        let pod = json!({ "metadata": { "name": name, "uid": name }, "status": { "nominatedNodeName": node } });
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    #[test]
    fn a_promise_is_kept_until_newer_is_told() {
        let mut cache = ClusterCache::default();
        let promised = |cache: &ClusterCache| cache.nomination("p").map(|node| node.to_string());
        cache.set_waiting(&waiting("p", Some("n1")), None);
        assert_eq!(promised(&cache).as_deref(), Some("n1"), "promised before this scheduler began");
        cache.nominate(waiting("p", Some("n1")), "n2".into());
        cache.set_waiting(&waiting("p", Some("n1")), Some("n1"));
        assert_eq!(promised(&cache).as_deref(), Some("n2"), "the status is not written yet");
        cache.set_waiting(&waiting("p", Some("n2")), Some("n1"));
        assert_eq!(promised(&cache).as_deref(), Some("n2"));
        cache.set_waiting(&waiting("p", None), Some("n2"));
        assert_eq!(promised(&cache), None, "somebody took it back");
        cache.set_waiting(&waiting("p", None), None);
        assert_eq!(promised(&cache), None);
    }

    #[test]
    fn a_promise_ends_when_the_pod_has_a_node() {
        let mut cache = ClusterCache::default();
        cache.set_node(node("n1"));
        for name in ["p", "q"] {
            cache.nominate(waiting(name, None), "n1".into());
        }
        cache.assume(waiting("p", None), "n1");
        cache.set_pod(pod("q", Some("n2")));
        assert!(cache.snapshot().nominations().is_empty());
    }

    #[test]
    fn promises_of_less_important_pods_can_be_taken_back() {
        let mut cache = ClusterCache::default();
        for (name, node) in [("p", "n1"), ("q", "n1"), ("r", "n2")] {
            cache.nominate(waiting(name, None), node.into());
        }
        let lost = cache.withdraw_on("n1", |pod| pod.key().name() != "q");
        assert_eq!(lost.iter().map(|pod| pod.key().name()).collect::<Vec<_>>(), ["p"]);
        assert_eq!((cache.nomination("p"), cache.nomination("q").is_some()), (None, true));
    }

    #[test]
    fn a_reserved_volume_stays_so_until_a_newer_state_is_told() {
        let volume = |version: &str| {
            let metadata = json!({ "name": "v", "resourceVersion": version });
            let volume: PersistentVolume = serde_json::from_value(json!({ "metadata": metadata, "spec": {} })).unwrap();
            ObjectChange::from(Change::Added(Arc::new(volume)))
        };
        let claim = json!({ "metadata": { "name": "c", "namespace": "default", "uid": "u" } });
        let mut cache = ClusterCache::default();
        let is_kept = |cache: &ClusterCache| {
            let snapshot = cache.snapshot();
            snapshot
                .objects()
                .get::<PersistentVolume>(&ObjectKey::cluster("v"))
                .unwrap()
                .spec
                .as_ref()
                .unwrap()
                .claim_ref
                .is_some()
        };
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        cache.apply(&Change::Added(Arc::new(claim)).into());
        cache.apply(&volume("1"));
        let mut choice = Placement::on("n1");
        let claim = ObjectKey::namespaced("default", "c");
        choice.volumes.push(VolumeChoice::Bind { claim, volume: "v".to_owned() });
        let reserved = cache.reserve(&choice);
        assert_eq!(reserved.len(), 1);
        assert!(cache.reserve(&choice).is_empty(), "it is so already");
        cache.apply(&volume("1"));
        assert!(is_kept(&cache));
        let changes = cache.take_back(&reserved);
        let [change] = &*changes else { panic!("{changes:?}") };
        let told = change.of::<PersistentVolume>().unwrap().new().unwrap();
        assert!(told.spec.as_ref().unwrap().claim_ref.is_none());
        assert!(!is_kept(&cache));
        cache.reserve(&choice);
        cache.apply(&volume("2"));
        assert!(!is_kept(&cache), "somebody else wrote first");
        let again = cache.reserve(&choice);
        assert!(cache.take_back(&reserved).is_empty(), "that is over");
        assert!(is_kept(&cache), "the later reservation holds");
        assert_eq!(cache.take_back(&again).len(), 1);
    }

    #[test]
    fn an_assumption_expires_only_after_its_binding() {
        let mut cache = ClusterCache::default();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(30));
        cache.set_node(node("n1"));
        cache.assume(pod("p", None), "n1");
        assert!(cache.expire(later).is_empty());
        cache.finish_binding("p", Some(later));
        assert_eq!(cache.next_expiry(), Some(later));
        assert!(cache.expire(now).is_empty());
        assert_eq!(cache.expire(later).len(), 1);
        assert_eq!(cpu(&cache, "n1"), Some(0));
    }

    proptest! {
        #[test]
        fn the_order_of_nodes_and_pods_does_not_matter(steps in prop::collection::vec((0..6_usize, 0..3_usize), 0..60)) {
            let (nodes, pods) = (["n0", "n1", "n2"], ["p0", "p1", "p2"]);
            let mut cache = ClusterCache::default();
            let (mut there, mut bound) = ([false; 3], [None; 3]);
            for (i, (action, which)) in steps.into_iter().enumerate() {
                match action {
                    0 => { cache.set_node(node(nodes[which])); there[which] = true; }
                    1 => { cache.remove_node(nodes[which]); there[which] = false; }
                    2 | 3 => { cache.set_pod(pod(pods[which], Some(nodes[i % 3]))); bound[which] = Some(i % 3); }
                    4 => { cache.remove_pod(pods[which]); bound[which] = None; }
                    _ => if cache.assume(pod(pods[which], None), nodes[i % 3]) { bound[which] = Some(i % 3); }
                }
            }
            for (index, name) in nodes.iter().enumerate() {
                let expected = bound.iter().filter(|node| **node == Some(index)).count() as i64 * 1000;
                prop_assert_eq!(cpu(&cache, name), there[index].then_some(expected));
            }
        }
    }
}
