mod assertions;
mod file;
mod gang;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    core::v1::{Node, Pod},
    resource::v1::ResourceClaim,
};
use orchestra_core::{
    ObjectKey,
    device::pod_user,
    informer::{Change, Informed},
    scheduler::{Placement, PodInfo, ScheduleError, Scheduler, Snapshot},
};
use serde::Serialize;
use serde_json::Value;

pub use self::file::FileError;
pub(super) use self::{gang::gang, text::nodes_table};
use super::Decision;
use crate::cache::ClusterCache;

/// Nodes and pods to try a scheduler on: [decide](Self::decide) asks for a node and changes nothing, [place](Self::place) puts the pod there,
/// [start](Self::start) runs the whole loop.
///
/// A pod is called by its name if it is in namespace `default`, else by `namespace/name`.
///
/// ```
/// use orchestra_sched::{framework::Framework, testing::{TestCluster, node, pod}};
///
/// let mut cluster = TestCluster::new()
///     .node(node("n1").cpu(4).zone("a"))
///     .node(node("n2").cpu(4).zone("b").taint("dedicated=db:NoSchedule"))
///     .pod(pod("old").cpu(3).on("n1"));
/// let scheduler = Framework::kubernetes();
///
/// cluster.decide(&scheduler, pod("big").cpu(3)).assert_unschedulable("1 Insufficient cpu, 1 node(s) had untolerated taint(s)");
/// cluster.place(&scheduler, pod("db").cpu(3).tolerate("dedicated=db")).assert_bound("n2");
/// cluster.place_all(&scheduler, (0..3).map(|i| pod(format!("small-{i}")).cpu("100m")));
/// cluster.assert_on("small-2", "n1");
/// ```
#[derive(Clone, Debug, Default)]
pub struct TestCluster {
    pub(super) nodes: BTreeMap<String, Arc<Node>>,
    pub(crate) pods: BTreeMap<ObjectKey, Arc<PodInfo>>,
    /// The pods without a node, in the order in which they came.
    pub(super) waiting: Vec<ObjectKey>,
    /// The others, by plural and key, as the API has them.
    pub(super) objects: BTreeMap<(String, ObjectKey), Value>,
    pub(crate) cache: ClusterCache,
    pub(super) seed: u64,
}

impl TestCluster {
    /// A cluster without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The seed of decisions, zero if it is not set: it breaks ties, and says where a sample of many nodes begins.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// As [`add_node`](Self::add_node).
    #[must_use]
    pub fn node(mut self, node: impl Into<Node>) -> Self {
        self.add_node(node);
        self
    }

    /// As [`add_node`](Self::add_node), for each of them.
    #[must_use]
    pub fn nodes(mut self, nodes: impl IntoIterator<Item: Into<Node>>) -> Self {
        nodes.into_iter().for_each(|node| self.add_node(node));
        self
    }

    /// As [`add_pod`](Self::add_pod).
    #[must_use]
    pub fn pod(mut self, pod: impl Into<Pod>) -> Self {
        self.add_pod(pod);
        self
    }

    /// As [`add_pod`](Self::add_pod), for each of them.
    #[must_use]
    pub fn pods(mut self, pods: impl IntoIterator<Item: Into<Pod>>) -> Self {
        pods.into_iter().for_each(|pod| self.add_pod(pod));
        self
    }

    /// Adds a node, in the place of the one of its name.
    pub fn add_node(&mut self, node: impl Into<Node>) {
        let node = Arc::new(node.into());
        self.cache.set_node(node.clone());
        self.nodes.insert(node.metadata.name.clone().unwrap_or_default(), node);
    }

    /// Takes a node out. Its pods stay, on a node that is not there.
    pub fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
        self.cache.remove_node(name);
    }

    /// Adds a pod, in the place of the one of its name. One that is not on a node waits; one that has ended takes no room.
    pub fn add_pod(&mut self, pod: impl Into<Pod>) {
        self.insert(Arc::new(PodInfo::from(pod.into())));
    }

    /// Takes a pod out.
    pub fn remove_pod(&mut self, name: &str) {
        let key = key(name);
        if let Some(pod) = self.pods.remove(&key) {
            self.cache.remove_pod(pod.id());
        }
        self.waiting.retain(|waiting| *waiting != key);
    }

    /// Adds an object of another kind that schedulers look at, in the place of the one of its name.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use orchestra_core::ObjectKey;
    /// use orchestra_sched::testing::TestCluster;
    /// let mut namespace = Namespace::default();
    /// namespace.metadata.name = Some("shop".to_owned());
    /// let cluster = TestCluster::new().object(namespace);
    /// assert!(cluster.snapshot().objects().get::<Namespace>(&ObjectKey::cluster("shop")).is_some());
    /// ```
    pub fn add_object<K: Informed + Serialize>(&mut self, object: K) {
        let plural = K::plural(&()).into_owned();
        let json = serde_json::to_value(&object).unwrap_or_default();
        self.objects.insert((plural, ObjectKey::of(&object)), json);
        self.cache.apply(&Change::Added(Arc::new(object)).into());
    }

    /// As [`add_object`](Self::add_object).
    #[must_use]
    pub fn object<K: Informed + Serialize>(mut self, object: K) -> Self {
        self.add_object(object);
        self
    }

    /// The cluster as schedulers see it.
    pub fn snapshot(&self) -> Snapshot {
        self.cache.snapshot()
    }

    /// The pod called `name`.
    pub fn get_pod(&self, name: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(&key(name))
    }

    /// The node that the pod called `name` is on.
    pub fn node_of(&self, name: &str) -> Option<&str> {
        self.get_pod(name)?.node_name()
    }

    /// The pods that wait for a node: the highest priority first, then the first to come. Those that scheduling gates hold do not count.
    pub fn pending(&self) -> Vec<Arc<PodInfo>> {
        let waiting = self.waiting.iter().filter_map(|key| self.pods.get(key));
        let mut pods: Vec<Arc<PodInfo>> = waiting.filter(|pod| !pod.is_gated()).cloned().collect();
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.priority()));
        pods
    }

    /// Has a node chosen for a pod, and changes nothing. If the pod is in the cluster already, it is asked about as if it were not.
    pub fn decide<'s>(&self, scheduler: &'s dyn Scheduler, pod: impl Into<PodInfo>) -> Decision<'s> {
        let pod = pod.into();
        let mut snapshot = self.snapshot();
        if let Some(known) = self.pods.get(pod.key())
            && let Some(node) = known.node_name()
        {
            snapshot.update(node, |node| node.remove_pod(known.id()));
        }
        Decision::take(scheduler, Arc::new(pod), snapshot, self.seed)
    }

    /// Has a node chosen for a pod, and puts the pod there; if there is none, the pod waits.
    pub fn place<'s>(&mut self, scheduler: &'s dyn Scheduler, pod: impl Into<PodInfo>) -> Decision<'s> {
        let mut decision = self.decide(scheduler, pod);
        let pod = decision.pod().clone();
        if let Ok(placement) = decision.result() {
            let placement = placement.clone();
            if self.nodes.contains_key(&*placement.node) {
                self.settle(&pod, &placement);
                return decision;
            }
            let error = format!("node {:?} was chosen, which is not there", placement.node);
            decision.set_result(Err(ScheduleError::Internal(error)));
        }
        self.insert(pod);
        decision
    }

    /// The pod is on its node now.
    fn settle(&mut self, pod: &PodInfo, placement: &Placement) {
        self.insert(Arc::new(pod.bound_to(&placement.node)));
        self.cache.reserve(placement);
        self.give_devices(placement, pod);
    }

    /// [Places](Self::place) one pod after the other.
    pub fn place_all<'s>(
        &mut self,
        scheduler: &'s dyn Scheduler,
        pods: impl IntoIterator<Item: Into<PodInfo>>,
    ) -> Vec<Decision<'s>> {
        pods.into_iter().map(|pod| self.place(scheduler, pod)).collect()
    }

    /// [Places](Self::place) the pods that [wait](Self::pending), once each. Those that have to have nodes at once are placed together or not at
    /// all; while some of them are missing there is no decision about them.
    pub fn place_pending<'s>(&mut self, scheduler: &'s dyn Scheduler) -> Vec<Decision<'s>> {
        let (mut decisions, mut groups) = (Vec::new(), BTreeSet::new());
        for pod in self.pending() {
            match scheduler.group(&pod) {
                None => decisions.push(self.place(scheduler, PodInfo::clone(&pod))),
                Some(group) if groups.insert(group.clone()) => decisions.extend(self.place_group(scheduler, &group)),
                Some(_) => {}
            }
        }
        decisions
    }

    /// Notes in the pod's claims which devices they have got, and that it uses them.
    fn give_devices(&mut self, placement: &Placement, pod: &PodInfo) {
        for decided in &placement.claims {
            let claim = match &decided.make {
                Some(extended) => {
                    let mut made = extended.claim.clone();
                    let name = format!("{}made", made.metadata.generate_name.as_deref().unwrap_or_default());
                    (made.metadata.uid, made.metadata.name) = (Some(format!("claim/{name}")), Some(name));
                    self.cache.claim_made(&decided.claim, &made);
                    Some(made)
                }
                None => {
                    let claim = self.cache.snapshot().objects().get::<ResourceClaim>(&decided.claim).cloned();
                    claim.map(Arc::unwrap_or_clone)
                }
            };
            let Some(mut claim) = claim else { continue };
            let status = claim.status.get_or_insert_default();
            if let Some(allocation) = &decided.allocation {
                status.allocation = Some(allocation.clone());
            }
            status.reserved_for.get_or_insert_default().push(pod_user(pod.key().name(), pod.id()));
            self.add_object(claim);
        }
    }

    fn insert(&mut self, pod: Arc<PodInfo>) {
        let key = pod.key().clone();
        let known = self.pods.insert(key.clone(), pod.clone());
        if let Some(old) = known {
            self.cache.remove_pod(old.id());
        }
        if pod.node_name().is_some() {
            self.waiting.retain(|waiting| *waiting != key);
            if !pod.has_ended() {
                self.cache.set_pod(pod);
            }
        } else if !self.waiting.contains(&key) && !pod.has_ended() {
            self.waiting.push(key);
        }
    }

    /// The names of the nodes that have pods.
    fn used_nodes(&self, counts: impl Fn(&PodInfo) -> bool) -> BTreeSet<&str> {
        let pods = self.pods.values().filter(|pod| !pod.has_ended() && counts(pod));
        pods.filter_map(|pod| pod.node_name()).collect()
    }
}

/// The key of the pod called `name` or `namespace/name`.
pub(super) fn key(name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    ObjectKey::namespaced(namespace, name)
}
