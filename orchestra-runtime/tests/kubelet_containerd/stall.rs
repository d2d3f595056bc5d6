//! A runtime that does not go on from a certain call, so that its kubelet can be killed right there.

use std::{fs, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use orchestra_core::{
    clock::Clock,
    container_runtime::{
        Cidr, Container, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId, ContainerResources,
        ContainerRuntime, ContainerStats, ContainerStatus, ExecOutput, FilesystemUsage, Image, ImageSpec, LogLine,
        LogOptions, PortConnection, ProcessStreams, RegistryAuth, RuntimeError, RuntimeStatus, RuntimeStream,
        RuntimeVersion, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus, StreamOptions,
    },
};
use orchestra_runtime::container::CriRuntime;
use serde::{Deserialize, Serialize};

/// A file that is there when the call is reached.
pub(crate) const STALLED: &str = "/run/stalled";

/// Where it does not go on: before a call of this name, or after it was answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Stall {
    Before(String),
    After(String),
}

pub(crate) struct Stalling {
    inner: CriRuntime,
    stall: Option<Stall>,
}

impl Stalling {
    pub(crate) fn new(inner: CriRuntime, stall: Option<Stall>) -> Self {
        Self { inner, stall }
    }

    async fn reach(&self, here: Stall) {
        if self.stall.as_ref() == Some(&here) {
            fs::write(STALLED, "").expect("a file");
            std::future::pending().await
        }
    }
}

macro_rules! pass {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl ContainerRuntime for Stalling {
            fn use_clock(&self, clock: Arc<dyn Clock>) {
                self.inner.use_clock(clock);
            }

            fn use_pod_cidr(&self, cidr: Cidr) {
                self.inner.use_pod_cidr(cidr);
            }

            $(async fn $name(&self, $($argument: $type),*) -> Result<$result, RuntimeError> {
                self.reach(Stall::Before(stringify!($name).to_owned())).await;
                let result = self.inner.$name($($argument),*).await;
                self.reach(Stall::After(stringify!($name).to_owned())).await;
                result
            })*
        }
    };
}

pass! {
    fn version() -> RuntimeVersion;
    fn status() -> RuntimeStatus;
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
    fn events() -> RuntimeStream<ContainerEvent>;
}
