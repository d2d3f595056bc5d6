//! What is kept of a sandbox and of a container: compactly, as there may be many.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use orchestra_core::container_runtime::{
    Container, ContainerConfig, ContainerId, ContainerMetadata, ContainerState, ContainerStats, ContainerStatus,
    ImageSpec, Sandbox, SandboxConfig, SandboxId, SandboxMetadata, SandboxState, SandboxStatus,
};

use super::{CANNOT_START, image::image_ref, schedule::Place};
use crate::container::{ImageScript, memory::compact::Compact};

pub(in crate::container::memory) struct SandboxRecord {
    name: Box<str>,
    namespace: Box<str>,
    pub(in crate::container::memory) uid: Box<str>,
    pub(super) attempt: u32,
    pub(super) ready: bool,
    created_at: Timestamp,
    labels: Compact,
    annotations: Compact,
    /// `None` if it has the node's network or is stopped.
    pub(super) address: Option<IpAddr>,
    /// In order of creation.
    pub(super) containers: Vec<u64>,
}

impl SandboxRecord {
    pub(super) fn new(config: &SandboxConfig, created_at: Timestamp) -> Self {
        Self {
            name: config.metadata.name.as_str().into(),
            namespace: config.metadata.namespace.as_str().into(),
            uid: config.metadata.uid.as_str().into(),
            attempt: config.metadata.attempt,
            ready: true,
            created_at,
            labels: Compact::new(&config.labels),
            annotations: Compact::new(&config.annotations),
            address: None,
            containers: Vec::new(),
        }
    }

    pub(super) fn status(&self, id: SandboxId) -> SandboxStatus {
        let sandbox = Sandbox {
            id,
            metadata: SandboxMetadata {
                name: self.name.to_string(),
                namespace: self.namespace.to_string(),
                uid: self.uid.to_string(),
                attempt: self.attempt,
            },
            state: if self.ready { SandboxState::Ready } else { SandboxState::NotReady },
            created_at: self.created_at,
            labels: self.labels.expand(),
            annotations: self.annotations.expand(),
        };
        SandboxStatus { sandbox, ips: self.address.into_iter().collect() }
    }
}

pub(in crate::container::memory) struct ContainerRecord {
    pub(super) sandbox: u64,
    pub(super) name: Box<str>,
    pub(super) attempt: u32,
    image: Arc<str>,
    pub(in crate::container::memory) script: Arc<ImageScript>,
    pub(in crate::container::memory) state: ContainerState,
    pub(super) ready: bool,
    created_at: Timestamp,
    pub(in crate::container::memory) started_at: Option<Timestamp>,
    pub(in crate::container::memory) finished_at: Option<Timestamp>,
    pub(super) exit_code: i32,
    /// Where in the schedule its end is.
    pub(super) exit: Option<Place>,
    labels: Compact,
    annotations: Compact,
}

impl ContainerRecord {
    pub(super) fn new(
        sandbox: u64,
        config: ContainerConfig,
        image: Arc<str>,
        script: Arc<ImageScript>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            sandbox,
            name: config.metadata.name.into_boxed_str(),
            attempt: config.metadata.attempt,
            image,
            script,
            state: ContainerState::Created,
            ready: false,
            created_at,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            exit: None,
            labels: Compact::new(&config.labels),
            annotations: Compact::new(&config.annotations),
        }
    }

    /// Whether it runs in this sandbox.
    pub(in crate::container::memory) fn is_running_in(&self, sandbox: u64) -> bool {
        self.sandbox == sandbox && self.state == ContainerState::Running
    }

    /// What it uses, if it runs.
    pub(super) fn stats(&self, id: ContainerId, at: Timestamp) -> Option<ContainerStats> {
        let running = self.started_at.filter(|_| self.state == ContainerState::Running)?;
        let millis = u64::try_from(at.duration_since(running).as_millis()).unwrap_or_default();
        Some(ContainerStats {
            container: id,
            at,
            // A thousandth of a CPU is a thousand nanoseconds a millisecond.
            cpu_usage_nanos: millis.saturating_mul(self.script.cpu_millis).saturating_mul(1_000),
            memory_working_set: self.script.memory,
            writable_layer_bytes: 0,
        })
    }

    pub(super) fn status(&self, id: ContainerId, sandbox: SandboxId) -> ContainerStatus {
        let image_ref = image_ref(&self.image);
        let container = Container {
            id,
            sandbox,
            metadata: ContainerMetadata { name: self.name.to_string(), attempt: self.attempt },
            image: ImageSpec(self.image.to_string()),
            image_ref: image_ref.clone(),
            state: self.state,
            created_at: self.created_at,
            labels: self.labels.expand(),
            annotations: self.annotations.expand(),
        };
        let reason = match (self.state, self.exit_code) {
            (ContainerState::Exited, 0) => "Completed",
            (ContainerState::Exited, CANNOT_START) if self.started_at.is_none() => "StartError",
            (ContainerState::Exited, _) => "Error",
            _ => "",
        };
        ContainerStatus {
            container,
            image_ref,
            started_at: self.started_at,
            finished_at: self.finished_at,
            exit_code: self.exit_code,
            reason: reason.to_owned(),
            message: String::new(),
            ready: Some(self.ready),
        }
    }
}
