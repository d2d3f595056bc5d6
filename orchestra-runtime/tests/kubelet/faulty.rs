//! A runtime that can be taken away for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use orchestra_core::{
    clock::Clock,
    container_runtime::{
        Container, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId, ContainerRuntime, ContainerStatus,
        Image, ImageSpec, LogLine, LogOptions, RegistryAuth, RuntimeError, RuntimeStatus, RuntimeStream,
        RuntimeVersion, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus,
    },
};
use orchestra_runtime::container::MemoryRuntime;
use tokio::sync::Notify;

#[derive(Clone)]
pub(crate) struct Faulty {
    inner: MemoryRuntime,
    down: Arc<AtomicBool>,
    fell: Arc<Notify>,
}

impl Faulty {
    pub(crate) fn new(inner: MemoryRuntime) -> Self {
        Self { inner, down: Arc::default(), fell: Arc::default() }
    }

    /// Lets no call through, and ends the streams of events.
    pub(crate) fn fall(&self) {
        self.down.store(true, Ordering::Relaxed);
        self.fell.notify_waiters();
    }

    pub(crate) fn rise(&self) {
        self.down.store(false, Ordering::Relaxed);
    }

    fn up(&self) -> Result<&MemoryRuntime, RuntimeError> {
        let error = || RuntimeError::Unavailable("no such socket".to_owned());
        if self.down.load(Ordering::Relaxed) { Err(error()) } else { Ok(&self.inner) }
    }
}

macro_rules! pass {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl ContainerRuntime for Faulty {
            fn use_clock(&self, clock: Arc<dyn Clock>) {
                self.inner.use_clock(clock);
            }

            async fn events(&self) -> Result<RuntimeStream<ContainerEvent>, RuntimeError> {
                let fell = Arc::clone(&self.fell);
                let events = self.up()?.events().await?;
                Ok(events.take_until(Box::pin(async move { fell.notified().await })).boxed())
            }

            $(async fn $name(&self, $($argument: $type),*) -> Result<$result, RuntimeError> {
                self.up()?.$name($($argument),*).await
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
    fn logs(id: &ContainerId, options: LogOptions) -> RuntimeStream<LogLine>;
}
