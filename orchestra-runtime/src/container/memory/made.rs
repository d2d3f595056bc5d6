//! What a runtime was asked to make, for those who test what asks it.

use std::collections::BTreeMap;

use orchestra_core::container_runtime::{Container, ContainerConfig, ContainerResources, SandboxConfig, labels};
use parking_lot::Mutex;

use super::MemoryRuntime;

/// The newest of each name. Nothing is kept unless that is asked for: it is many times what the rest of a container takes.
#[derive(Default)]
pub(super) struct Made {
    kept: Mutex<Option<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// By the pod's name.
    sandboxes: BTreeMap<String, SandboxConfig>,
    /// By the pod's and the container's name.
    containers: BTreeMap<(String, String), ContainerConfig>,
}

impl Made {
    pub(super) fn sandbox(&self, config: &SandboxConfig) {
        if let Some(kept) = &mut *self.kept.lock() {
            kept.sandboxes.insert(config.metadata.name.clone(), config.clone());
        }
    }

    pub(super) fn container(&self, config: &ContainerConfig) {
        if let Some(kept) = &mut *self.kept.lock() {
            let pod = config.labels.get(labels::POD_NAME).cloned().unwrap_or_default();
            kept.containers.insert((pod, config.metadata.name.clone()), config.clone());
        }
    }
}

impl Made {
    /// The container has other limits from now on.
    pub(super) fn change(&self, container: &Container, resources: ContainerResources) {
        let pod = container.labels.get(labels::POD_NAME).cloned().unwrap_or_default();
        if let Some(kept) = &mut *self.kept.lock()
            && let Some(config) = kept.containers.get_mut(&(pod, container.metadata.name.clone()))
            && config.metadata == container.metadata
        {
            config.resources = resources;
        }
    }
}

impl MemoryRuntime {
    /// Keeps the configurations of what is made from now on.
    #[must_use]
    pub fn keep_configs(self) -> Self {
        self.shared.made.kept.lock().get_or_insert_default();
        self
    }

    /// With what configuration the pod's newest sandbox was made, if those are [kept](Self::keep_configs).
    pub fn sandbox_config(&self, pod: &str) -> Option<SandboxConfig> {
        self.shared.made.kept.lock().as_ref()?.sandboxes.get(pod).cloned()
    }

    /// With what configuration the newest container of this name of a pod was made, and the limits it has now, if those are [kept](Self::keep_configs).
    pub fn container_config(&self, pod: &str, container: &str) -> Option<ContainerConfig> {
        let key = (pod.to_owned(), container.to_owned());
        self.shared.made.kept.lock().as_ref()?.containers.get(&key).cloned()
    }
}
