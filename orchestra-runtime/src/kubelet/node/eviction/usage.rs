use std::collections::{BTreeMap, HashMap};

use orchestra_core::container_runtime::{ContainerFilter, ContainerId, RuntimeError, labels};
use tracing::warn;

use crate::kubelet::Context;

/// Bytes that a container, or all of a pod's, use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) memory: u64,
    pub(super) storage: u64,
}

/// What containers use, by the pod's uid and the container's name.
pub(super) type Usage = HashMap<String, BTreeMap<String, Used>>;

/// What all pods' containers use. Where the runtime does not tell, it is nothing: then priorities decide.
pub(super) async fn usage(context: &Context) -> Usage {
    let measured = measured(context).await;
    measured.inspect_err(|error| warn!(node = %context.node, %error, "usage of containers unknown")).unwrap_or_default()
}

async fn measured(context: &Context) -> Result<Usage, RuntimeError> {
    let all = ContainerFilter::default;
    let containers = context.runtime.list_containers(all()).await?;
    let owners: HashMap<ContainerId, (String, String)> = containers
        .into_iter()
        .filter_map(|container| {
            Some((container.id, (container.labels.get(labels::POD_UID)?.clone(), container.metadata.name)))
        })
        .collect();
    let mut usage = Usage::new();
    for stats in context.runtime.container_stats(all()).await? {
        let Some((uid, name)) = owners.get(&stats.container) else { continue };
        let used = usage.entry(uid.clone()).or_default().entry(name.clone()).or_default();
        used.memory = used.memory.saturating_add(stats.memory_working_set);
        used.storage = used.storage.saturating_add(stats.writable_layer_bytes);
    }
    Ok(usage)
}
