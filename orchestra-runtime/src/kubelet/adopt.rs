//! What a kubelet before this one left running.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use orchestra_core::{
    container_runtime::{ContainerFilter, RuntimeError, SandboxFilter, SandboxState, labels},
    work_queue::Backoff,
};
use tracing::warn;

use super::{
    Context,
    container::restored,
    pod::record::{PodRecord, SandboxView},
};

/// What runs for a pod.
#[derive(Default)]
pub(super) struct Adopted {
    pub(super) record: PodRecord,
    /// As much of the pod as is written on what runs.
    metadata: ObjectMeta,
    spec: PodSpec,
}

impl Adopted {
    /// The pod as one that is to be stopped, as the API server has it no more.
    pub(super) fn orphaned(self, now: Timestamp) -> (Pod, PodRecord) {
        let metadata = ObjectMeta { deletion_timestamp: Some(Time(now)), ..self.metadata };
        (Pod { metadata, spec: Some(self.spec), status: None }, PodRecord { gone: true, ..self.record })
    }
}

/// All that runs, by pod, as soon as the runtime tells.
pub(super) async fn adopt(context: &Context, backoff: Backoff) -> BTreeMap<Arc<str>, Adopted> {
    let failed = |error: &_| warn!(node = %context.node, %error, "cannot list what runs, trying again");
    backoff.retry(|| list(context), failed).await
}

async fn list(context: &Context) -> Result<BTreeMap<Arc<str>, Adopted>, RuntimeError> {
    let runtime = &context.runtime;
    let mut all = BTreeMap::<Arc<str>, Adopted>::new();
    for sandbox in runtime.list_pod_sandboxes(SandboxFilter::default()).await? {
        // What has no such label is not a kubelet's.
        let Some(uid) = sandbox.labels.get(labels::POD_UID) else { continue };
        let adopted = all.entry(uid.as_str().into()).or_default();
        adopted.metadata = ObjectMeta {
            name: Some(sandbox.metadata.name),
            namespace: Some(sandbox.metadata.namespace),
            uid: Some(uid.clone()),
            ..ObjectMeta::default()
        };
        let ips = runtime.pod_sandbox_status(&sandbox.id).await?.ips;
        context.sandboxes.lock().insert(sandbox.id.clone(), uid.as_str().into());
        let (attempt, ready) = (sandbox.metadata.attempt, sandbox.state == SandboxState::Ready);
        adopted.record.see_sandbox(SandboxView { id: sandbox.id, attempt, ready, ips });
    }
    for container in runtime.list_containers(ContainerFilter::default()).await? {
        let Some(adopted) = container.labels.get(labels::POD_UID).and_then(|uid| all.get_mut(uid.as_str())) else {
            continue;
        };
        let (described, grace) = restored(&container.metadata.name, &container.annotations);
        adopted.spec.termination_grace_period_seconds = grace.or(adopted.spec.termination_grace_period_seconds);
        if adopted.spec.containers.iter().all(|known| known.name != described.name) {
            adopted.spec.containers.push(described);
        }
        let status = runtime.container_status(&container.id).await?;
        adopted.record.see(&container.metadata.name, status.into());
    }
    Ok(all)
}
