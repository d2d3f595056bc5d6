use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::sleep;

use super::{Images, Subject, Violation};
use crate::container_runtime::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerMetadata, ContainerRuntime, ContainerState,
    ContainerStatus, ImageSpec, RuntimeError, SandboxConfig, SandboxFilter, SandboxId, SandboxMetadata,
};

/// The label of all that a check makes; its value is the check's name.
const LABEL: &str = "contract-check";
/// How often something is looked at that will change.
const PERIOD: Duration = Duration::from_millis(20);

/// What a check works with: a runtime, and what is made in it for this check alone.
#[derive(Debug)]
pub struct World {
    subject: Subject,
    check: &'static str,
    made: AtomicU32,
}

impl World {
    pub(super) fn new(subject: Subject, check: &'static str) -> Self {
        Self { subject, check, made: AtomicU32::new(0) }
    }

    pub(super) fn runtime(&self) -> &dyn ContainerRuntime {
        &*self.subject.runtime
    }

    pub(super) fn images(&self) -> &Images {
        &self.subject.images
    }

    /// What all sandboxes and containers of the check have.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(LABEL.to_owned(), self.check.to_owned())])
    }

    /// Another pod's sandbox.
    pub(super) fn sandbox_config(&self) -> SandboxConfig {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.check.replace('_', "-"));
        let log_directory = match self.subject.log_directory.as_str() {
            "" => String::new(),
            directory => format!("{directory}/{name}"),
        };
        SandboxConfig {
            metadata: SandboxMetadata { uid: name.clone(), name, namespace: "contract".to_owned(), attempt: 0 },
            hostname: "pod".to_owned(),
            log_directory,
            labels: self.labels(),
            ..SandboxConfig::default()
        }
    }

    pub(super) async fn sandbox(&self) -> Result<SandboxId, RuntimeError> {
        self.runtime().run_pod_sandbox(self.sandbox_config()).await
    }

    pub(super) fn container_config(&self, name: &str, image: &ImageSpec) -> ContainerConfig {
        ContainerConfig {
            metadata: ContainerMetadata { name: name.to_owned(), attempt: 0 },
            image: image.clone(),
            labels: self.labels(),
            log_path: format!("{name}/0.log"),
            ..ContainerConfig::default()
        }
    }

    /// A container that is not started, of an image that is fetched if need be.
    pub(super) async fn created(
        &self,
        sandbox: &SandboxId,
        name: &str,
        image: &ImageSpec,
    ) -> Result<ContainerId, RuntimeError> {
        self.runtime().pull_image(image, None).await?;
        self.runtime().create_container(sandbox, self.container_config(name, image)).await
    }

    /// The same, started.
    pub(super) async fn started(
        &self,
        sandbox: &SandboxId,
        name: &str,
        image: &ImageSpec,
    ) -> Result<ContainerId, RuntimeError> {
        let id = self.created(sandbox, name, image).await?;
        self.runtime().start_container(&id).await?;
        Ok(id)
    }

    /// A container of that image in a sandbox of its own.
    pub(super) async fn alone(&self, image: &ImageSpec) -> Result<ContainerId, RuntimeError> {
        let sandbox = self.sandbox().await?;
        self.started(&sandbox, "c", image).await
    }

    /// Its status when it has ended by itself.
    pub(super) async fn ended(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        loop {
            let status = self.runtime().container_status(id).await?;
            if status.container.state == ContainerState::Exited {
                return Ok(status);
            }
            sleep(PERIOD).await;
        }
    }

    /// Only what this check made.
    pub(super) fn container_filter(&self) -> ContainerFilter {
        ContainerFilter { labels: self.labels(), ..ContainerFilter::default() }
    }

    /// Only what this check made.
    pub(super) fn sandbox_filter(&self) -> SandboxFilter {
        SandboxFilter { labels: self.labels(), ..SandboxFilter::default() }
    }

    pub(super) async fn clean(&self) -> Result<(), Violation> {
        for sandbox in self.runtime().list_pod_sandboxes(self.sandbox_filter()).await? {
            self.runtime().stop_pod_sandbox(&sandbox.id).await?;
            self.runtime().remove_pod_sandbox(&sandbox.id).await?;
        }
        let left = self.runtime().list_containers(self.container_filter()).await?;
        if left.is_empty() {
            Ok(())
        } else {
            Err(Violation::new(format!("containers outlive their sandboxes: {left:?}")))
        }
    }
}
