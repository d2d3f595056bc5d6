//! A runtime that stands before another one: what happens at its calls is for a test to say.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use orchestra_core::{
    clock::Clock,
    container_runtime::{
        CgroupDriver, Cidr, Container, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId,
        ContainerResources, ContainerRuntime, ContainerStats, ContainerStatus, ExecOutput, FilesystemUsage, Image,
        ImageSpec, LogLine, LogOptions, PortConnection, ProcessStreams, RegistryAuth, RuntimeError, RuntimeStatus,
        RuntimeStream, RuntimeVersion, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus, StreamOptions,
    },
};

/// What happens at the calls, which are known by the names of their methods.
#[async_trait]
pub(crate) trait Hooks: Send + Sync + 'static {
    /// Before a call goes on; if this fails, it does not.
    async fn before(&self, call: &'static str) -> Result<(), RuntimeError>;

    /// After a call was answered, well or not.
    async fn after(&self, _call: &'static str) {}

    /// Changes the events that there will be.
    fn events(&self, events: RuntimeStream<ContainerEvent>) -> RuntimeStream<ContainerEvent> {
        events
    }
}

/// The runtime `inner`, with `hooks` at its calls.
#[derive(Clone)]
pub(crate) struct Hooked<R, H> {
    pub(crate) inner: R,
    pub(crate) hooks: H,
}

macro_rules! pass {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl<R: ContainerRuntime, H: Hooks> ContainerRuntime for Hooked<R, H> {
            fn use_clock(&self, clock: Arc<dyn Clock>) {
                self.inner.use_clock(clock);
            }

            fn use_pod_cidr(&self, cidr: Cidr) {
                self.inner.use_pod_cidr(cidr);
            }

            async fn events(&self) -> Result<RuntimeStream<ContainerEvent>, RuntimeError> {
                self.hooks.before("events").await?;
                let events = self.inner.events().await;
                self.hooks.after("events").await;
                Ok(self.hooks.events(events?))
            }

            $(async fn $name(&self, $($argument: $type),*) -> Result<$result, RuntimeError> {
                self.hooks.before(stringify!($name)).await?;
                let result = self.inner.$name($($argument),*).await;
                self.hooks.after(stringify!($name)).await;
                result
            })*
        }
    };
}

pass! {
    fn version() -> RuntimeVersion;
    fn status() -> RuntimeStatus;
    fn cgroup_driver() -> Option<CgroupDriver>;
    fn run_pod_sandbox(config: SandboxConfig) -> SandboxId;
    fn stop_pod_sandbox(id: &SandboxId) -> ();
    fn remove_pod_sandbox(id: &SandboxId) -> ();
    fn pod_sandbox_status(id: &SandboxId) -> SandboxStatus;
    fn list_pod_sandboxes(filter: SandboxFilter) -> Vec<Sandbox>;
    fn create_container(sandbox: &SandboxId, config: ContainerConfig) -> ContainerId;
    fn start_container(id: &ContainerId) -> ();
    fn stop_container(id: &ContainerId, grace: Duration) -> ();
    fn remove_container(id: &ContainerId) -> ();
    fn container_status(id: &ContainerId) -> ContainerStatus;
    fn list_containers(filter: ContainerFilter) -> Vec<Container>;
    fn pull_image(image: &ImageSpec, auth: Option<RegistryAuth>) -> String;
    fn image_status(image: &ImageSpec) -> Option<Image>;
    fn list_images() -> Vec<Image>;
    fn remove_image(image: &ImageSpec) -> ();
    fn exec_sync(id: &ContainerId, command: Vec<String>, timeout: Option<Duration>) -> ExecOutput;
    fn exec(id: &ContainerId, command: Vec<String>, streams: StreamOptions) -> ProcessStreams;
    fn attach(id: &ContainerId, streams: StreamOptions) -> ProcessStreams;
    fn port_forward(id: &SandboxId, port: u16) -> Pin<Box<dyn PortConnection>>;
    fn update_container_resources(id: &ContainerId, resources: ContainerResources) -> ();
    fn reopen_container_log(id: &ContainerId) -> ();
    fn image_filesystems() -> Vec<FilesystemUsage>;
    fn logs(id: &ContainerId, options: LogOptions) -> RuntimeStream<LogLine>;
    fn container_stats(filter: ContainerFilter) -> Vec<ContainerStats>;
}
