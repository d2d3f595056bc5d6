use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use orchestra_core::{
    clock::Clock,
    container_runtime::{
        CgroupDriver, Cidr, Container, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId,
        ContainerResources, ContainerRuntime, ContainerStats, ContainerStatus, ExecOutput, FilesystemUsage, Image,
        ImageSpec, LogLine, LogOptions, PortConnection, ProcessStreams, RegistryAuth, RuntimeError, RuntimeStatus,
        RuntimeStream, RuntimeVersion, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus, StreamOptions,
    },
};

use super::CriRuntime;

impl CriRuntime {
    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.lock().now()
    }
}

#[async_trait]
impl ContainerRuntime for CriRuntime {
    fn use_clock(&self, clock: Arc<dyn Clock>) {
        *self.shared.clock.lock() = clock;
    }

    fn use_pod_cidr(&self, cidr: Cidr) {
        *self.shared.pod_cidr.lock() = Some(cidr);
    }

    async fn version(&self) -> Result<RuntimeVersion, RuntimeError> {
        self.runtime_version().await
    }

    async fn status(&self) -> Result<RuntimeStatus, RuntimeError> {
        self.runtime_status().await
    }

    async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError> {
        self.told_cgroup_driver().await
    }

    async fn run_pod_sandbox(&self, config: SandboxConfig) -> Result<SandboxId, RuntimeError> {
        self.run_sandbox(config).await
    }

    async fn stop_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.stop_sandbox(id).await
    }

    async fn remove_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.remove_sandbox(id).await
    }

    async fn pod_sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus, RuntimeError> {
        self.sandbox_status(id).await
    }

    async fn list_pod_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        self.sandboxes(filter).await
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        self.add_container(sandbox, config).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.run_container(id).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.end_container(id, grace).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.delete_container(id).await
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        self.full_status(id).await
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        self.containers(filter).await
    }

    async fn pull_image(&self, image: &ImageSpec, auth: Option<RegistryAuth>) -> Result<String, RuntimeError> {
        self.fetch_image(image, auth).await
    }

    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>, RuntimeError> {
        self.find_image(image).await
    }

    async fn list_images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.images().await
    }

    async fn remove_image(&self, image: &ImageSpec) -> Result<(), RuntimeError> {
        self.delete_image(image).await
    }

    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, RuntimeError> {
        self.run_command(id, command, timeout).await
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        streams: StreamOptions,
    ) -> Result<ProcessStreams, RuntimeError> {
        self.run_connected(id, command, streams).await
    }

    async fn attach(&self, id: &ContainerId, streams: StreamOptions) -> Result<ProcessStreams, RuntimeError> {
        self.connect_with_process(id, streams).await
    }

    async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<Pin<Box<dyn PortConnection>>, RuntimeError> {
        self.connect_with_port(id, port).await
    }

    async fn update_container_resources(
        &self,
        id: &ContainerId,
        resources: ContainerResources,
    ) -> Result<(), RuntimeError> {
        self.change_resources(id, resources).await
    }

    async fn reopen_container_log(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.begin_log_anew(id).await
    }

    async fn image_filesystems(&self) -> Result<Vec<FilesystemUsage>, RuntimeError> {
        self.usage_of_images().await
    }

    async fn logs(&self, id: &ContainerId, options: LogOptions) -> Result<RuntimeStream<LogLine>, RuntimeError> {
        self.read_log(id, options).await
    }

    async fn container_stats(&self, filter: ContainerFilter) -> Result<Vec<ContainerStats>, RuntimeError> {
        self.stats(filter).await
    }

    async fn events(&self) -> Result<RuntimeStream<ContainerEvent>, RuntimeError> {
        self.listen().await
    }
}
