//! A memory runtime that is wrong in one way.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use orchestra_core::container_runtime::{
    Container, ContainerConfig, ContainerEvent, ContainerEventKind, ContainerFilter, ContainerId, ContainerRuntime,
    ContainerStatus, ExecOutput, Image, ImageSpec, LogLine, LogOptions, RegistryAuth, RuntimeError, RuntimeStatus,
    RuntimeStream, RuntimeVersion, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxState, SandboxStatus,
};
use orchestra_runtime::container::MemoryRuntime;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    StartsTwice,
    TwoOfAName,
    LosesAnnotations,
    ListsBackwards,
    ListsAll,
    StopsWithoutWaiting,
    StopsWithoutGrace,
    FirstStopCounts,
    StrictRemoval,
    StaysReady,
    PullsNothing,
    IgnoresTail,
    LogsForEver,
    TellsNoEnd,
    TellsTwice,
    AlwaysSucceeds,
    WaitsForCommands,
}

pub(crate) struct Broken {
    pub(crate) good: MemoryRuntime,
    pub(crate) flaw: Flaw,
}

#[async_trait]
impl ContainerRuntime for Broken {
    async fn version(&self) -> Result<RuntimeVersion, RuntimeError> {
        self.good.version().await
    }

    async fn status(&self) -> Result<RuntimeStatus, RuntimeError> {
        self.good.status().await
    }

    async fn run_pod_sandbox(&self, config: SandboxConfig) -> Result<SandboxId, RuntimeError> {
        self.good.run_pod_sandbox(config).await
    }

    async fn stop_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.good.stop_pod_sandbox(id).await
    }

    async fn remove_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.good.remove_pod_sandbox(id).await
    }

    async fn pod_sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus, RuntimeError> {
        let mut status = self.good.pod_sandbox_status(id).await?;
        if self.flaw == Flaw::StaysReady {
            status.sandbox.state = SandboxState::Ready;
        }
        Ok(status)
    }

    async fn list_pod_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        self.good.list_pod_sandboxes(filter).await
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        mut config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        if self.flaw == Flaw::LosesAnnotations {
            config.annotations.clear();
        }
        match self.good.create_container(sandbox, config.clone()).await {
            Err(RuntimeError::AlreadyExists { .. }) if self.flaw == Flaw::TwoOfAName => {
                config.metadata.attempt = 1000;
                self.good.create_container(sandbox, config).await
            }
            other => other,
        }
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        match self.good.start_container(id).await {
            Err(RuntimeError::FailedPrecondition(_)) if self.flaw == Flaw::StartsTwice => Ok(()),
            other => other,
        }
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        match self.flaw {
            Flaw::StopsWithoutWaiting => Ok(()),
            Flaw::StopsWithoutGrace => self.good.stop_container(id, Duration::ZERO).await,
            // As if somebody had asked before.
            Flaw::FirstStopCounts => self.good.stop_container(id, Duration::from_secs(90)).await,
            Flaw::StrictRemoval => {
                self.good.container_status(id).await?;
                self.good.stop_container(id, grace).await
            }
            _ => self.good.stop_container(id, grace).await,
        }
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if self.flaw == Flaw::StrictRemoval {
            self.good.container_status(id).await?;
        }
        self.good.remove_container(id).await
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        let mut status = self.good.container_status(id).await?;
        if self.flaw == Flaw::AlwaysSucceeds {
            status.exit_code = 0;
        }
        Ok(status)
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        let filter = match self.flaw {
            Flaw::ListsAll => ContainerFilter { labels: filter.labels, ..ContainerFilter::default() },
            _ => filter,
        };
        let mut containers = self.good.list_containers(filter).await?;
        if self.flaw == Flaw::ListsBackwards {
            containers.reverse();
        }
        Ok(containers)
    }

    async fn pull_image(&self, image: &ImageSpec, auth: Option<RegistryAuth>) -> Result<String, RuntimeError> {
        match self.good.pull_image(image, auth).await {
            Err(_) if self.flaw == Flaw::PullsNothing => Ok("sha256:0".to_owned()),
            other => other,
        }
    }

    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>, RuntimeError> {
        self.good.image_status(image).await
    }

    async fn list_images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.good.list_images().await
    }

    async fn remove_image(&self, image: &ImageSpec) -> Result<(), RuntimeError> {
        self.good.remove_image(image).await
    }

    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, RuntimeError> {
        let timeout = timeout.filter(|_| self.flaw != Flaw::WaitsForCommands);
        self.good.exec_sync(id, command, timeout).await
    }

    async fn logs(&self, id: &ContainerId, options: LogOptions) -> Result<RuntimeStream<LogLine>, RuntimeError> {
        let is_followed = options.follow;
        let tail = options.tail.filter(|_| self.flaw != Flaw::IgnoresTail);
        let lines = self.good.logs(id, LogOptions { tail, ..options }).await?;
        if self.flaw == Flaw::LogsForEver && is_followed {
            return Ok(lines.chain(stream::pending()).boxed());
        }
        Ok(lines)
    }

    async fn events(&self) -> Result<RuntimeStream<ContainerEvent>, RuntimeError> {
        let (events, flaw) = (self.good.events().await?, self.flaw);
        let events = events.flat_map(move |event| {
            let times = match (flaw, &event) {
                (Flaw::TellsNoEnd, Ok(event)) if event.kind == ContainerEventKind::Stopped => 0,
                (Flaw::TellsTwice, Ok(_)) => 2,
                _ => 1,
            };
            stream::iter(vec![event; times])
        });
        Ok(events.boxed())
    }
}
