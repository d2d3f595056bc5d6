//! The node's pods as the server finds them, and what the runtime has of them.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use orchestra_core::{
    container_runtime::{
        Container, ContainerFilter, ContainerId, ContainerRuntime, ContainerState as RuntimeState, RuntimeError,
        SandboxFilter, SandboxId, SandboxState, labels,
    },
    informer::Packed,
};
use parking_lot::Mutex;

use super::Refusal;

/// The pods of the node, by uid.
#[derive(Default)]
pub(in crate::kubelet) struct Pods(Mutex<BTreeMap<Arc<str>, Arc<Packed<Pod>>>>);

impl Pods {
    /// The pod is new or changed.
    pub(in crate::kubelet) fn set(&self, uid: Arc<str>, pod: Arc<Packed<Pod>>) {
        self.0.lock().insert(uid, pod);
    }

    /// The pod as the API server has it.
    pub(in crate::kubelet) fn get(&self, uid: &str) -> Option<Arc<Packed<Pod>>> {
        self.0.lock().get(uid).cloned()
    }

    /// Nothing is left of the pod.
    pub(in crate::kubelet) fn remove(&self, uid: &str) {
        self.0.lock().remove(uid);
    }

    pub(super) fn all(&self) -> Vec<Arc<Pod>> {
        let packed: Vec<_> = self.0.lock().values().cloned().collect();
        packed.iter().map(|pod| pod.object()).collect()
    }

    /// The pod of that name; while one is ending and another has its name, the other.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Result<Arc<Pod>, Refusal> {
        let pods = self.0.lock();
        let is_it = |pod: &&Arc<Packed<Pod>>| pod.key().name() == name && pod.key().namespace() == Some(namespace);
        let found = pods.values().filter(is_it).map(|pod| pod.object());
        let found = found.min_by_key(|pod| pod.metadata.deletion_timestamp.is_some());
        found.ok_or_else(|| Refusal::not_found("pod does not exist"))
    }
}

/// Whether the pod is to have such a container.
pub(super) fn has_container(pod: &Pod, name: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let mut names = (spec.containers.iter().chain(spec.init_containers.iter().flatten()))
        .map(|container| &container.name)
        .chain(spec.ephemeral_containers.iter().flatten().map(|container| &container.name));
    names.any(|other| other == name)
}

/// The containers of that name that the runtime has of the pod, the oldest first.
async fn instances(runtime: &dyn ContainerRuntime, pod: &Pod, name: &str) -> Result<Vec<Container>, RuntimeError> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let labels = BTreeMap::from([(labels::POD_UID.to_owned(), uid)]);
    let mut all = runtime.list_containers(ContainerFilter { labels, ..ContainerFilter::default() }).await?;
    all.retain(|container| container.metadata.name == name);
    all.sort_by_key(|container| container.metadata.attempt);
    Ok(all)
}

/// The container of that name that runs.
pub(super) async fn running(runtime: &dyn ContainerRuntime, pod: &Pod, name: &str) -> Result<ContainerId, Refusal> {
    let all = instances(runtime, pod, name).await.map_err(Refusal::internal)?;
    let running = all.into_iter().rev().find(|container| container.state == RuntimeState::Running);
    running.map(|container| container.id).ok_or_else(|| Refusal::internal(format!("container not found ({name:?})")))
}

/// The sandbox of a pod that can be connected with.
pub(super) async fn sandbox(runtime: &dyn ContainerRuntime, pod: &Pod) -> Result<SandboxId, Refusal> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let labels = BTreeMap::from([(labels::POD_UID.to_owned(), uid)]);
    let filter = SandboxFilter { labels, state: Some(SandboxState::Ready), ..SandboxFilter::default() };
    let all = runtime.list_pod_sandboxes(filter).await.map_err(Refusal::internal)?;
    let newest = all.into_iter().max_by_key(|sandbox| sandbox.metadata.attempt);
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    newest.map(|sandbox| sandbox.id).ok_or_else(|| Refusal::internal(format!("pod {name:?} has no sandbox that runs")))
}

/// The container whose log is asked for (`validateContainerLogStatus` in Kubernetes).
pub(super) async fn logged(
    runtime: &dyn ContainerRuntime,
    pod: &Pod,
    name: &str,
    previous: bool,
) -> Result<ContainerId, Refusal> {
    let all = instances(runtime, pod, name).await.map_err(Refusal::bad_request)?;
    let mut begun = all.into_iter().rev().filter(|container| container.state != RuntimeState::Created);
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = status_of(pod, name);
    if previous {
        // One that has crashed and waits to be started again is its own predecessor.
        let waits = status.is_some_and(|status| state_of(status).waiting.is_some());
        let newest = begun.next();
        let found = match &newest {
            Some(container) if waits && container.state == RuntimeState::Exited => newest,
            _ => begun.next(),
        };
        let none = || format!("previous terminated container {name:?} in pod {pod_name:?} not found");
        return found.map(|container| container.id).ok_or_else(|| Refusal::bad_request(none()));
    }
    if let Some(container) = begun.next() {
        return Ok(container.id);
    }
    let Some(status) = status else {
        return Err(Refusal::bad_request(format!("container {name:?} in pod {pod_name:?} is not available")));
    };
    let state = state_of(status);
    let why = match state.waiting.as_ref().map(|waiting| waiting.reason.as_deref().unwrap_or_default()) {
        _ if state.terminated.is_some() => "is terminated".to_owned(),
        Some("ErrImagePull") => "is waiting to start: image can't be pulled".to_owned(),
        Some("ImagePullBackOff") => "is waiting to start: trying and failing to pull image".to_owned(),
        Some(reason) => format!("is waiting to start: {reason}"),
        None => "is waiting to start - no logs yet".to_owned(),
    };
    Err(Refusal::bad_request(format!("container {name:?} in pod {pod_name:?} {why}")))
}

fn status_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| status.name == name)
}

fn state_of(status: &ContainerStatus) -> ContainerState {
    status.state.clone().unwrap_or_default()
}
