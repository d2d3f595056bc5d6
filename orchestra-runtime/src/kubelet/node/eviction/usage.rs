use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use orchestra_core::container_runtime::{ContainerFilter, ContainerId, RuntimeError, labels};
use tracing::warn;

use crate::kubelet::{
    Context,
    container::log_file,
    node::threshold::Signal,
    volume::{disk_usage, usage_of_volumes},
};

/// Bytes that a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) memory: u64,
    /// Of the file system in question.
    pub(super) storage: u64,
}

/// What a pod uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodUsage {
    /// By name.
    pub(super) containers: BTreeMap<String, Used>,
    /// What its volumes take of the node's disk, in bytes.
    pub(super) volumes: u64,
}

/// What pods use, by uid.
pub(super) type Usage = HashMap<String, PodUsage>;

impl Used {
    /// Bytes of what the signal is about.
    pub(super) fn of(self, signal: Signal) -> u64 {
        if signal == Signal::MemoryAvailable { self.memory } else { self.storage }
    }
}

impl PodUsage {
    /// Bytes of what the signal is about, of all containers.
    pub(super) fn of_all(&self, signal: Signal) -> u64 {
        let volumes = if signal == Signal::MemoryAvailable { 0 } else { self.volumes };
        self.containers.values().map(|used| used.of(signal)).fold(volumes, u64::saturating_add)
    }
}

/// What pods use of what the signal is about. Where the runtime does not tell, it is nothing: then priorities decide.
pub(super) async fn usage(context: &Context, signal: Signal) -> Usage {
    let measured = measured(context, signal).await;
    measured.inspect_err(|error| warn!(node = %context.node, %error, "usage of containers unknown")).unwrap_or_default()
}

async fn measured(context: &Context, signal: Signal) -> Result<Usage, RuntimeError> {
    let all = ContainerFilter::default;
    let parts = Parts::of(context, signal).await;
    let (mut usage, mut logs) = (Usage::new(), Vec::new());
    let mut owners = HashMap::<ContainerId, (String, String)>::new();
    for container in context.runtime.list_containers(all()).await? {
        let Some(uid) = container.labels.get(labels::POD_UID).cloned() else { continue };
        let name = container.metadata.name.clone();
        let log = context.config.pod_logs.as_ref().and_then(|root| log_file(root, &container));
        logs.extend(log.and_then(|log| Some((uid.clone(), name.clone(), log.parent()?.to_owned()))));
        owners.insert(container.id, (uid, name));
    }
    for stats in context.runtime.container_stats(all()).await? {
        let Some((uid, name)) = owners.get(&stats.container) else { continue };
        let used = usage.entry(uid.clone()).or_default().containers.entry(name.clone()).or_default();
        used.memory = used.memory.saturating_add(stats.memory_working_set);
        if parts.layers {
            used.storage = used.storage.saturating_add(stats.writable_layer_bytes);
        }
    }
    match context.config.root.clone().filter(|_| parts.files) {
        None => Ok(usage),
        // A file system may take its time.
        Some(root) => Ok(tokio::task::spawn_blocking(move || with_files(usage, &root, logs)).await.unwrap_or_default()),
    }
}

/// Adds what pods have on the node's disk: volumes, and the folders of containers' logs. What cannot be measured counts for nothing.
fn with_files(mut usage: Usage, root: &Path, mut logs: Vec<(String, String, PathBuf)>) -> Usage {
    // All attempts of a container write into one folder.
    logs.sort();
    logs.dedup();
    for (uid, name, folder) in logs {
        let used = usage.entry(uid).or_default().containers.entry(name).or_default();
        used.storage = used.storage.saturating_add(disk_usage(&folder).unwrap_or(0));
    }
    for (uid, pod) in &mut usage {
        pod.volumes = usage_of_volumes(root, uid).unwrap_or(0);
    }
    usage
}

/// What counts: where images have a disk of their own, so have the containers' writable layers.
struct Parts {
    layers: bool,
    files: bool,
}

impl Parts {
    async fn of(context: &Context, signal: Signal) -> Self {
        let (of_images, of_node) = match signal {
            Signal::ImagefsAvailable | Signal::ImagefsInodesFree => (true, false),
            Signal::NodefsAvailable | Signal::NodefsInodesFree => (false, true),
            Signal::MemoryAvailable | Signal::PidAvailable => return Self { layers: false, files: false },
        };
        let images = context.runtime.image_filesystems().await.ok().and_then(|all| all.into_iter().next());
        let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
        let (images, node) = (images.map(|images| PathBuf::from(images.mountpoint)), context.config.root.as_deref());
        let is_one = images.as_deref().and_then(device) == node.and_then(device);
        Self { layers: of_images || is_one, files: of_node || is_one }
    }
}
