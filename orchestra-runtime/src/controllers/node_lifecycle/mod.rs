//! Keeps pods off nodes that are not well, and gives up nodes that went silent.
//!
//! ```text
//!   Lease, status ──► silence: nothing for 50 s ──► conditions Unknown, pods not ready
//!   conditions, cordon ──► taints NoSchedule
//!   Ready False or Unknown ──► taint NoExecute, at the pace of the zone ──► taint_eviction
//! ```

mod conditions;
mod pace;
mod silence;
mod taints;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, ObjectReference, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    event_recorder::{EventRecorder, EventType},
    informer::{Change, Informer},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use self::{
    conditions::Readiness,
    pace::{Pace, Verdict},
    silence::{Heartbeat, Silence},
    taints::NoExecute,
};
use super::{api_error, pod_state};
use crate::lean_pod::LeanPod;
use crate::pods_by_node;

/// How often a node that is not ready is looked at: kube-controller-manager's `--node-monitor-period`.
const MONITOR_PERIOD: Duration = Duration::from_secs(5);

/// Marks nodes as unknown that neither renewed their lease nor posted their status for too long, and taints nodes by their
/// conditions. What happens to the pods on them is the [taint eviction](super::taint_eviction)'s.
///
/// Other than kube-controller-manager it tells of no node that comes or goes (`RegisteredNode`, `RemovingNode`): such events lie in the
/// namespace `default`, among those of its pods.
pub struct NodeLifecycleController {
    client: Client,
    nodes: Informer<Node>,
    leases: Informer<Lease>,
    pods: Informer<LeanPod>,
    clock: Arc<dyn Clock>,
    recorder: EventRecorder,
    silence: Arc<Mutex<Silence>>,
    pace: Mutex<Pace>,
}

impl NodeLifecycleController {
    /// A controller of all nodes. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let pods = context.informers.informer::<LeanPod>();
        pods_by_node::index(&pods);
        Self {
            client: context.client.clone(),
            nodes: context.informers.informer::<Node>(),
            leases: context.informers.selected::<Lease>("metadata.namespace=kube-node-lease"),
            pods,
            clock: Arc::clone(&context.clock),
            recorder: context.recorder("node-controller"),
            silence: Arc::default(),
            pace: Mutex::default(),
        }
    }

    /// Says that nothing is known of the node any more.
    async fn give_up(&self, node: Arc<Node>) -> Result<Arc<Node>, kube::Error> {
        let Some(unknown) = conditions::unknown(&node, Time(self.clock.now())) else { return Ok(node) };
        let name = node.metadata.name.as_deref().unwrap_or_default();
        // Unless it has said something since.
        let version = &node.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version}, "status": {"conditions": unknown}});
        let api = Api::<Node>::all(self.client.clone());
        let given_up = api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        if Readiness::of(&node) == Some(Readiness::Ready) {
            let node = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Node".to_owned()),
                name: Some(name.to_owned()),
                uid: node.metadata.uid.clone(),
                ..ObjectReference::default()
            };
            let message = format!("Node {name} status is now: NodeNotReady");
            self.recorder.event_about(node, EventType::Normal, "NodeNotReady", message);
        }
        Ok(Arc::new(given_up))
    }

    /// Says of the pods on a node that nothing is known of that they are not ready: nobody else will.
    async fn mark_pods_not_ready(&self, node: &str) -> Result<(), kube::Error> {
        for pod in pods_by_node::on(&self.pods, node).into_iter().filter(|pod| pod_state::is_ready(pod)) {
            let (namespace, name) = (pod.metadata.namespace.as_deref(), pod.metadata.name.as_deref());
            let api = Api::<Pod>::namespaced(self.client.clone(), namespace.unwrap_or_default());
            let not_ready = json!({"type": "Ready", "status": "False", "lastTransitionTime": Time(self.clock.now())});
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [not_ready]}});
            let patched =
                api.patch_status(name.unwrap_or_default(), &PatchParams::default(), &Patch::Strategic(patch)).await;
            match patched {
                Err(error) if api_error::is_not_found(&error) || api_error::is_conflict(&error) => {}
                Err(error) => return Err(error),
                Ok(_) => self.recorder.event(&*pod, EventType::Warning, "NodeNotReady", "Node is not ready"),
            }
        }
        Ok(())
    }

    /// Gives the node the taints that its conditions ask for.
    async fn taint(&self, node: &Node) -> Result<(), kube::Error> {
        let no_execute = match Readiness::of(node) {
            None | Some(Readiness::Ready) => NoExecute::None,
            Some(_) => match self.pace.lock().judge(node, &self.nodes.list(), Instant::now()) {
                Verdict::Spare => NoExecute::None,
                Verdict::Evict => NoExecute::ByReadiness,
                Verdict::Wait => NoExecute::OnlyIfAny,
            },
        };
        let Some(taints) = taints::wanted(node, no_execute, &Time(self.clock.now())) else { return Ok(()) };
        let name = node.metadata.name.as_deref().unwrap_or_default();
        // A list as a whole: only as it was seen.
        let patch =
            json!({"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": taints}});
        let api = Api::<Node>::all(self.client.clone());
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }
}

#[async_trait]
impl Controller for NodeLifecycleController {
    fn name(&self) -> &str {
        "node-lifecycle"
    }

    fn watches(&self) -> Vec<Watch> {
        let (of_nodes, of_leases) = (Arc::clone(&self.silence), Arc::clone(&self.silence));
        let nodes = Watch::mapped(&self.nodes, move |change| {
            let node = change.object();
            let name = node.metadata.name.as_deref().unwrap_or_default();
            match change {
                Change::Deleted(_) => of_nodes.lock().forget(name),
                Change::Added(_) | Change::Updated { .. } => {
                    let posted = Heartbeat::Status(conditions::last_heartbeat(node));
                    of_nodes.lock().hear(name, posted, Instant::now());
                }
            }
            vec![ObjectKey::of(&**node)]
        });
        // A renewed lease is noted, no more: there is one every ten seconds for every node.
        let leases = Watch::mapped(&self.leases, move |change: &Change<Lease>| {
            if let Some(lease) = change.new() {
                let name = lease.metadata.name.as_deref().unwrap_or_default();
                let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
                of_leases.lock().hear(name, Heartbeat::Lease(renewed), Instant::now());
            }
            Vec::new()
        });
        vec![nodes, leases]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(mut node) = self.nodes.get(key) else { return Ok(Action::Done) };
        let left = self.silence.lock().left(key.name(), Readiness::of(&node).is_some(), Instant::now());
        if left.is_zero() {
            node = self.give_up(node).await?;
        }
        if Readiness::of(&node) == Some(Readiness::Unknown) {
            self.mark_pods_not_ready(key.name()).await?;
        }
        self.taint(&node).await?;
        let is_ready = Readiness::of(&node) == Some(Readiness::Ready);
        Ok(Action::RequeueAfter(if is_ready { left.max(Duration::from_millis(1)) } else { MONITOR_PERIOD }))
    }

    fn workers(&self) -> usize {
        8
    }
}
