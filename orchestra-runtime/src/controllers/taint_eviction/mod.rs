//! Evicts pods from nodes whose `NoExecute` taints they do not tolerate, or not for that long.

mod decide;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    condition,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    event_recorder::{EventRecorder, EventType},
    informer::{Change, Informer},
    scheduler::Taint,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use self::decide::{Decision, decide, no_execute};
use super::disruption_target;
use crate::lean_pod::LeanPod;
use crate::pods_by_node;

const REASON: &str = "TaintManagerEviction";

/// Deletes pods from nodes with `NoExecute` taints: at once if they do not tolerate one, else when the shortest of their
/// `tolerationSeconds` is over, reckoned from when this controller first saw pod and taint together. A taint that goes in time spares them.
pub struct TaintEvictionController {
    client: Client,
    nodes: Informer<Node>,
    pods: Informer<LeanPod>,
    clock: Arc<dyn Clock>,
    recorder: EventRecorder,
    leaving: Arc<Mutex<BTreeMap<ObjectKey, (Uid, Progress)>>>,
}

/// How far it is with a pod that is to go.
enum Progress {
    /// Its time runs since then.
    Waits(Instant),
    /// Its deletion was asked for, and will show soon.
    Evicted,
}

/// The pod that a key meant when it was looked at; another may have its name by now.
type Uid = Option<String>;

impl TaintEvictionController {
    /// A controller of all pods. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let pods = context.informers.informer::<LeanPod>();
        pods_by_node::index(&pods);
        Self {
            client: context.client.clone(),
            nodes: context.informers.informer::<Node>(),
            pods,
            clock: Arc::clone(&context.clock),
            recorder: context.recorder("taint-eviction-controller"),
            leaving: Arc::default(),
        }
    }

    /// Lets the pod stay; says so if it was to go.
    fn spare(&self, key: &ObjectKey, pod: &Pod) {
        if let Some((_, Progress::Waits(_))) = self.leaving.lock().remove(key) {
            self.recorder.event(pod, EventType::Normal, REASON, format!("Cancelling deletion of Pod {key}"));
        }
    }

    /// How much longer the pod may stay, of `tolerated` in all.
    fn left(&self, key: &ObjectKey, pod: &Pod, tolerated: Duration) -> Duration {
        let now = Instant::now();
        let mut leaving = self.leaving.lock();
        let (_, progress) =
            leaving.entry(key.clone()).or_insert_with(|| (pod.metadata.uid.clone(), Progress::Waits(now)));
        match progress {
            Progress::Waits(since) => tolerated.saturating_sub(now.saturating_duration_since(*since)),
            Progress::Evicted => Duration::ZERO,
        }
    }

    async fn evict(&self, key: &ObjectKey, pod: &Pod) -> Result<(), kube::Error> {
        self.recorder.event(pod, EventType::Normal, REASON, format!("Marking for deletion Pod {key}"));
        let message = "Taint manager: deleting due to NoExecute taint";
        let why = condition::disruption_target(pod, "DeletionByTaintManager", message, self.clock.now());
        disruption_target::evict(&self.client, pod, why).await?;
        self.leaving.lock().insert(key.clone(), (pod.metadata.uid.clone(), Progress::Evicted));
        Ok(())
    }

    /// Whether the pod's deletion was asked for already; what is known of another pod of its name is forgotten.
    fn is_evicted(&self, key: &ObjectKey, pod: &Pod) -> bool {
        let mut leaving = self.leaving.lock();
        if leaving.get(key).is_some_and(|(uid, _)| *uid != pod.metadata.uid) {
            leaving.remove(key);
        }
        matches!(leaving.get(key), Some((_, Progress::Evicted)))
    }
}

fn taints_of(nodes: &Informer<Node>, pod: &Pod) -> Vec<Taint> {
    let node = pods_by_node::node_of(pod).and_then(|node| nodes.get(&ObjectKey::cluster(node)));
    node.map(|node| no_execute(&node)).unwrap_or_default()
}

#[async_trait]
impl Controller for TaintEvictionController {
    fn name(&self) -> &str {
        "taint-eviction-controller"
    }

    fn watches(&self) -> Vec<Watch> {
        let (nodes, leaving) = (self.nodes.clone(), Arc::clone(&self.leaving));
        // Nearly all pods are on nodes without such taints: they are not worth a reconcile.
        let pods = Watch::mapped(&self.pods, move |change: &Change<LeanPod>| {
            let pod = change.object();
            let tainted = !taints_of(&nodes, pod).is_empty();
            if !tainted && leaving.lock().is_empty() {
                return Vec::new();
            }
            let key = ObjectKey::of(&**pod);
            if tainted || leaving.lock().contains_key(&key) { vec![key] } else { Vec::new() }
        });
        let on = self.pods.clone();
        let nodes = Watch::mapped(&self.nodes, move |change: &Change<Node>| {
            let taints = |node: Option<&Arc<Node>>| node.map(|node| no_execute(node)).unwrap_or_default();
            if taints(change.old()) == taints(change.new()) {
                return Vec::new();
            }
            let name = change.object().metadata.name.clone().unwrap_or_default();
            pods_by_node::on(&on, &name).iter().map(|pod| ObjectKey::of(&**pod)).collect()
        });
        vec![pods, nodes]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(pod) = self.pods.get(key).filter(|pod| pod.metadata.deletion_timestamp.is_none()) else {
            self.leaving.lock().remove(key);
            return Ok(Action::Done);
        };
        if self.is_evicted(key, &pod) {
            return Ok(Action::Done);
        }
        match decide(&taints_of(&self.nodes, &pod), &pod) {
            Decision::Stay => self.spare(key, &pod),
            Decision::Go => self.evict(key, &pod).await?,
            Decision::StayFor(tolerated) => {
                let left = self.left(key, &pod, tolerated);
                if !left.is_zero() {
                    return Ok(Action::RequeueAfter(left));
                }
                self.evict(key, &pod).await?;
            }
        }
        Ok(Action::Done)
    }

    fn workers(&self) -> usize {
        8
    }
}
