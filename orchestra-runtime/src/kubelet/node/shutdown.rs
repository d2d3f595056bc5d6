//! Graceful node shutdown (KEP-2000): pods end before their machine does, those that the cluster cannot do without last.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::{
    container_runtime::{ContainerFilter, ContainerState, RuntimeError, SandboxFilter, SandboxState, labels},
    event_recorder::EventType::Normal,
};
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{SYSTEM_CRITICAL, eviction::Wish};
use crate::kubelet::{Context, pod::step::grace, source::uid_of};

/// The reason of pods that end for it, and what is said of them.
pub(in crate::kubelet) const TERMINATED: &str = "Terminated";
const TERMINATED_MESSAGE: &str = "Pod was terminated in response to imminent node shutdown.";
/// How often it is looked whether pods have ended.
const LOOK: Duration = Duration::from_millis(100);

/// How a kubelet is told that its machine is about to stop. Clones are the same one.
///
/// Kubernetes' kubelet hears of that from systemd, by an inhibitor lock over D-Bus. Here whoever runs the kubelet says so, and waits until
/// the pods have ended.
#[derive(Clone, Debug, Default)]
pub struct NodeShutdown {
    begun: CancellationToken,
    ended: CancellationToken,
}

impl NodeShutdown {
    /// Says that the machine is about to stop: the node is no longer ready and takes no more pods, and those that it has end. There is no
    /// way back.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Waits until the pods have ended, or have had the time that [`shutdown_grace`](crate::kubelet::KubeletBuilder::shutdown_grace) gives
    /// them. For ever if the kubelet does not run.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub(in crate::kubelet) fn is_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    pub(super) async fn begun(&self) {
        self.begun.cancelled().await;
    }
}

/// How long pods may take to end.
#[derive(Clone, Copy, Debug)]
pub(in crate::kubelet) struct ShutdownGrace {
    /// Those that the cluster can do without.
    pub(in crate::kubelet) regular: Duration,
    /// Those that it cannot, after the others.
    pub(in crate::kubelet) critical: Duration,
}

impl Default for ShutdownGrace {
    fn default() -> Self {
        Self { regular: Duration::from_secs(20), critical: Duration::from_secs(10) }
    }
}

/// Why a node whose machine is about to stop does not take a pod: reason and message.
pub(in crate::kubelet) fn refusal(context: &Context) -> Option<(String, String)> {
    let why = || ("NodeShutdown".to_owned(), "Pod was rejected as the node is shutting down.".to_owned());
    context.shutdown.is_begun().then(why)
}

/// Ends the pods when it is told to, until the future is dropped.
pub(in crate::kubelet) async fn run(context: &Context, wishes: UnboundedSender<Wish>) {
    context.shutdown.begun().await;
    super::event(context, Normal, "NodeShutdown", "Shutdown manager detected shutdown event");
    let (sender, receiver) = oneshot::channel();
    // The receiver outlives this.
    let _ = wishes.send(Wish::Pods(sender));
    let pods = receiver.await.unwrap_or_default();
    let (critical, regular): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| is_critical(pod));
    let ShutdownGrace { regular: first, critical: last } = context.config.shutdown_grace;
    for (pods, time) in [(regular, first), (critical, last)] {
        for pod in &pods {
            let message = TERMINATED_MESSAGE.to_owned();
            let end = Wish::End { pod: Arc::clone(pod), reason: TERMINATED, message, grace: grace(pod).min(time) };
            let _ = wishes.send(end);
        }
        let uids = pods.iter().map(|pod| uid_of(pod)).collect();
        // What is left then is killed with the machine.
        let _ = timeout_at(Instant::now() + time, all_ended(context, uids)).await;
    }
    context.shutdown.ended.cancel();
    std::future::pending().await
}

/// Whether the cluster cannot do without the pod, by its priority. Of a static pod only the class is known.
fn is_critical(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let class = spec.priority_class_name.as_deref();
    spec.priority.map_or_else(
        || matches!(class, Some("system-node-critical" | "system-cluster-critical")),
        |priority| priority >= SYSTEM_CRITICAL,
    )
}

/// Waits until none of these pods has a container that runs, or a sandbox in which one may still start.
async fn all_ended(context: &Context, uids: BTreeSet<Arc<str>>) {
    if uids.is_empty() {
        return;
    }
    loop {
        match going_on(context).await {
            Ok(pods) if pods.iter().any(|uid| uids.contains(uid.as_str())) => {}
            Ok(_) => return,
            Err(error) => warn!(node = %context.node, %error, "cannot list what runs, trying again"),
        }
        sleep(LOOK).await;
    }
}

/// The uids of pods whose sandboxes are not stopped, or whose containers run on without one.
async fn going_on(context: &Context) -> Result<BTreeSet<String>, RuntimeError> {
    let running = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
    let containers = context.runtime.list_containers(running).await?;
    let ready = SandboxFilter { state: Some(SandboxState::Ready), ..SandboxFilter::default() };
    let sandboxes = context.runtime.list_pod_sandboxes(ready).await?;
    let of_containers = containers.into_iter().map(|container| container.labels);
    let of_sandboxes = sandboxes.into_iter().map(|sandbox| sandbox.labels);
    Ok(of_containers.chain(of_sandboxes).filter_map(|mut of| of.remove(labels::POD_UID)).collect())
}
