//! Removes pods that nobody else will: those of nodes that are gone, and those that ended long ago.

mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use kube::{Api, Client};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    condition,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::Informer,
};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use self::verdict::{Verdict, oldest_finished, verdict};
use super::disruption_target;
use crate::lean_pod::LeanPod;
use crate::pods_by_node;

/// How often all pods are looked over.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a node must have been gone before its pods are.
const QUARANTINE: Duration = Duration::from_secs(40);
/// How many pods that have ended are kept: kube-controller-manager's `--terminated-pod-gc-threshold`.
const KEPT: usize = 12_500;

/// Removes pods that are bound to nodes that do not exist, that are being deleted where no kubelet will see to it, and the oldest of too
/// many that have ended.
pub struct PodGc {
    client: Client,
    nodes: Informer<Node>,
    pods: Informer<LeanPod>,
    clock: Arc<dyn Clock>,
    /// The nodes that pods name and that are not there, and since when.
    missing: Mutex<BTreeMap<String, Instant>>,
}

impl PodGc {
    /// A collector of all pods. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let pods = context.informers.informer::<LeanPod>();
        Self {
            client: context.client.clone(),
            nodes: context.informers.informer::<Node>(),
            pods,
            clock: Arc::clone(&context.clock),
            missing: Mutex::default(),
        }
    }

    /// The nodes that have been gone for so long that it is no mistake.
    async fn gone(&self, pods: &[Arc<LeanPod>]) -> Result<BTreeSet<String>, kube::Error> {
        let named = pods.iter().filter_map(|pod| pods_by_node::node_of(pod));
        let absent: BTreeSet<&str> = named.filter(|name| self.nodes.get(&ObjectKey::cluster(name)).is_none()).collect();
        let now = Instant::now();
        let due: Vec<String> = {
            let mut missing = self.missing.lock();
            missing.retain(|name, _| absent.contains(name.as_str()));
            for name in absent {
                missing.entry(name.to_owned()).or_insert(now);
            }
            let due = missing.iter().filter(|(_, since)| now.duration_since(**since) >= QUARANTINE);
            due.map(|(name, _)| name.clone()).collect()
        };
        let mut gone = BTreeSet::new();
        for name in due {
            // What the informer says is not enough to remove pods by.
            if Api::<Node>::all(self.client.clone()).get_metadata_opt(&name).await?.is_none() {
                gone.insert(name);
            }
        }
        Ok(gone)
    }

    fn verdict(&self, pod: &Pod, gone: &BTreeSet<String>) -> Option<Verdict> {
        let node = || pods_by_node::node_of(pod).and_then(|node| self.nodes.get(&ObjectKey::cluster(node)));
        verdict(pod, gone, node)
    }

    async fn remove(&self, pod: &Pod, why: Option<PodCondition>) {
        if let Err(error) = disruption_target::remove(&self.client, pod, why).await {
            warn!(pod = %ObjectKey::of(pod), %error, "pod not removed, trying again");
        }
    }
}

#[async_trait]
impl Controller for PodGc {
    fn name(&self) -> &str {
        "pod-garbage-collector"
    }

    /// One key stands for all pods: most of what is looked for is a matter of time, of which nobody tells.
    fn watches(&self) -> Vec<Watch> {
        vec![Watch::source(|queue, _| async move { queue.add(ObjectKey::cluster("pods")) })]
    }

    async fn reconcile(&self, _: &ObjectKey) -> Result<Action, ReconcileError> {
        let pods = self.pods.list();
        let gone = self.gone(&pods).await?;
        for pod in &pods {
            let why = match self.verdict(pod, &gone) {
                None => continue,
                Some(Verdict::Unattended) => None,
                Some(Verdict::Orphaned) => {
                    let message = "PodGC: node no longer exists";
                    Some(condition::disruption_target(pod, "DeletionByPodGC", message, self.clock.now()))
                }
            };
            self.remove(pod, why).await;
        }
        for pod in oldest_finished(&pods, KEPT) {
            self.remove(&pod, None).await;
        }
        Ok(Action::RequeueAfter(PERIOD))
    }
}
