//! What runs containers: [`ContainerRuntime`], in the shape of CRI (the Container Runtime Interface,
//! `k8s.io/cri-api/pkg/apis/runtime/v1`).
//!
//! A pod is a *sandbox* that holds what its containers share, first of all the network, and containers in it. The kubelet
//! knows nothing else of how they are run.

mod cidr;
mod container;
#[cfg(feature = "contract")]
pub mod contract;
mod error;
mod event;
mod exec;
mod image;
mod log;
mod node;
mod sandbox;
mod security;
mod stats;

use std::{net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use self::{
    cidr::{Cidr, CidrError},
    container::{
        Container, ContainerConfig, ContainerFilter, ContainerId, ContainerMetadata, ContainerResources,
        ContainerState, ContainerStatus, Mount, MountPropagation,
    },
    error::RuntimeError,
    event::{ContainerEvent, ContainerEventKind},
    exec::{ExecOutput, PortConnection, ProcessInput, ProcessOutput, ProcessStreams, StreamOptions, TerminalSize},
    image::{Image, ImageSpec, RegistryAuth},
    log::{LogLine, LogOptions, LogSource},
    node::{CgroupDriver, RuntimeCondition, RuntimeStatus, RuntimeVersion},
    sandbox::{
        DnsConfig, PortMapping, Protocol, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxMetadata,
        SandboxState, SandboxStatus,
    },
    security::{ContainerSecurity, PidNamespace, RunAs, SandboxSecurity, SeccompProfile},
    stats::{ContainerStats, FilesystemUsage},
};
use crate::clock::Clock;

/// The labels by which the kubelet finds its sandboxes and containers again; those of Kubernetes, as other tools on a node
/// (`crictl`, log collectors) read them too.
pub mod labels {
    /// The pod's name.
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    /// The pod's namespace.
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    /// The pod's uid.
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    /// The container's name in the pod.
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    /// `init` for a container that must end before others of its pod start, which a simulated runtime wants to know. Kubernetes has
    /// no such label, and CRI no other way to tell.
    pub const CONTAINER_TYPE: &str = "io.kubernetes.container.type";
}

/// A stream that a runtime feeds. An error is its last item.
pub type RuntimeStream<T> = BoxStream<'static, Result<T, RuntimeError>>;

/// Runs sandboxes and containers, and keeps images.
///
/// # Contract
/// The rules are CRI's. The module `contract` (feature `contract`) checks them.
/// - The runtime chooses ids. They are unique for its lifetime and never used again.
/// - A sandbox is [`Ready`](SandboxState::Ready) from [`run_pod_sandbox`](Self::run_pod_sandbox) until it is stopped. A container
///   is [`Created`](ContainerState::Created), then [`Running`](ContainerState::Running), then
///   [`Exited`](ContainerState::Exited); it is never started twice. To restart means to create another one with a
///   higher [`attempt`](ContainerMetadata::attempt).
/// - One sandbox has at most one container of a name and attempt, and the runtime at most one sandbox of a uid and
///   attempt: a second one fails with [`AlreadyExists`](RuntimeError::AlreadyExists).
/// - Stopping and removing are idempotent: what is already stopped, or not there, is no error. Stopping a sandbox
///   stops its containers by force; removing one removes them. Removing a running container stops it by force.
/// - Everything else that names what does not exist fails with [`NotFound`](RuntimeError::NotFound).
/// - Labels and annotations come back as they were given. Lists are in order of creation.
/// - A call that is dropped before it ends may or may not have had its effect: the caller lists to find out.
/// - What a runtime cannot do fails with [`Unsupported`](RuntimeError::Unsupported); that is what the methods with a
///   default do.
/// - A runtime that cannot be reached answers [`Unavailable`](RuntimeError::Unavailable): nothing is known about what it runs.
///
/// ```
/// # use orchestra_core::container_runtime::*;
/// async fn run(runtime: &dyn ContainerRuntime, pod: SandboxConfig, nginx: ContainerConfig) -> Result<ContainerId, RuntimeError> {
///     runtime.pull_image(&nginx.image, None).await?;
///     let sandbox = runtime.run_pod_sandbox(pod).await?;
///     let container = runtime.create_container(&sandbox, nginx).await?;
///     runtime.start_container(&container).await?;
///     Ok(container)
/// }
/// ```
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ContainerRuntime: Send + Sync + 'static {
    /// Takes wall time from `clock` from now on. The kubelet says so before anything else, so that the two agree on how long ago
    /// something was. A runtime that is told the time by others, as a daemon is by its machine, has nothing to do.
    fn use_clock(&self, _clock: Arc<dyn Clock>) {}

    /// Gives sandboxes that are run from now on addresses of `cidr`, in CRI `UpdateRuntimeConfig`. The kubelet says so before it runs any.
    /// A runtime whose network is set up by others has nothing to do.
    fn use_pod_cidr(&self, _cidr: Cidr) {}

    /// Which runtime it is. [`name`](RuntimeVersion::name) is the scheme of container ids in a pod's status.
    async fn version(&self) -> Result<RuntimeVersion, RuntimeError>;

    /// Whether it can run pods at all.
    async fn status(&self) -> Result<RuntimeStatus, RuntimeError>;

    /// How it makes cgroups, in CRI `RuntimeConfig`; `None` if it does not say.
    async fn cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError> {
        Ok(None)
    }

    /// Creates and starts a sandbox; its network is up when this returns.
    async fn run_pod_sandbox(&self, config: SandboxConfig) -> Result<SandboxId, RuntimeError>;

    /// Stops a sandbox and by force all containers in it, and gives back its network resources.
    async fn stop_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;

    /// Removes a sandbox and all containers in it.
    async fn remove_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;

    /// Tells a sandbox's state.
    async fn pod_sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus, RuntimeError>;

    /// The sandboxes that pass `filter`.
    async fn list_pod_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError>;

    /// Creates a container in a sandbox that is ready; in another one it cannot be created, or not be started
    /// ([`FailedPrecondition`](RuntimeError::FailedPrecondition)). Its image must be there.
    async fn create_container(&self, sandbox: &SandboxId, config: ContainerConfig)
    -> Result<ContainerId, RuntimeError>;

    /// Starts a container that was created.
    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Asks a container to stop (its stop signal, as a rule SIGTERM), kills it when `grace` has passed, and returns when it
    /// has exited. Calls may overlap; the one that allows least time wins.
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;

    /// Removes a container, its log included.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Tells a container's state.
    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError>;

    /// The containers that pass `filter`.
    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, RuntimeError>;

    /// Fetches an image, or finds it complete, and returns the runtime's id of it. Failures to fetch are
    /// [`ImagePull`](RuntimeError::ImagePull).
    async fn pull_image(&self, image: &ImageSpec, auth: Option<RegistryAuth>) -> Result<String, RuntimeError>;

    /// Tells what is known of an image that is there; `None` if it is not.
    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>, RuntimeError>;

    /// All images that are there.
    async fn list_images(&self) -> Result<Vec<Image>, RuntimeError>;

    /// Removes an image; one that is not there is no error.
    async fn remove_image(&self, image: &ImageSpec) -> Result<(), RuntimeError>;

    /// Runs `command` in a running container, waits for its end, at most `timeout` (then
    /// [`DeadlineExceeded`](RuntimeError::DeadlineExceeded)), and returns what it wrote.
    async fn exec_sync(
        &self,
        _id: &ContainerId,
        _command: Vec<String>,
        _timeout: Option<Duration>,
    ) -> Result<ExecOutput, RuntimeError> {
        Err(RuntimeError::Unsupported("exec"))
    }

    /// Runs `command` in a running container, connected with the caller.
    async fn exec(
        &self,
        _id: &ContainerId,
        _command: Vec<String>,
        _streams: StreamOptions,
    ) -> Result<ProcessStreams, RuntimeError> {
        Err(RuntimeError::Unsupported("exec"))
    }

    /// Connects the caller with the process that a running container was started for.
    async fn attach(&self, _id: &ContainerId, _streams: StreamOptions) -> Result<ProcessStreams, RuntimeError> {
        Err(RuntimeError::Unsupported("attach"))
    }

    /// Connects the caller with a TCP port in a sandbox that is ready.
    async fn port_forward(&self, _id: &SandboxId, _port: u16) -> Result<Pin<Box<dyn PortConnection>>, RuntimeError> {
        Err(RuntimeError::Unsupported("port forwarding"))
    }

    /// Connects the caller with a port of a pod by its address, as the pod's network would. `None` says that the address is on a network that
    /// this machine reaches by itself; that of a runtime that makes up addresses is on none.
    async fn dial(&self, _address: IpAddr, _port: u16) -> Option<Result<Pin<Box<dyn PortConnection>>, RuntimeError>> {
        None
    }

    /// Changes the limits of a container that has not ended, without restarting it.
    async fn update_container_resources(
        &self,
        _id: &ContainerId,
        _resources: ContainerResources,
    ) -> Result<(), RuntimeError> {
        Err(RuntimeError::Unsupported("changing the resources of a container"))
    }

    /// Has the runtime write a container's log to a new file, as the old one was moved away.
    async fn reopen_container_log(&self, _id: &ContainerId) -> Result<(), RuntimeError> {
        Err(RuntimeError::Unsupported("rotating logs"))
    }

    /// What images take of the file systems that they lie on.
    async fn image_filesystems(&self) -> Result<Vec<FilesystemUsage>, RuntimeError> {
        Err(RuntimeError::Unsupported("usage of the images' file system"))
    }

    /// What a container wrote, oldest first. With [`follow`](LogOptions::follow) the stream goes on until the container
    /// has ended.
    ///
    /// CRI has the kubelet read files that the runtime writes; here reading them is the runtime's, so that one
    /// without files has logs too.
    async fn logs(&self, _id: &ContainerId, _options: LogOptions) -> Result<RuntimeStream<LogLine>, RuntimeError> {
        Err(RuntimeError::Unsupported("logs"))
    }

    /// What the containers that pass `filter` use.
    async fn container_stats(&self, _filter: ContainerFilter) -> Result<Vec<ContainerStats>, RuntimeError> {
        Err(RuntimeError::Unsupported("container statistics"))
    }

    /// What happens to containers from now on, whoever caused it: the stream is registered before this returns.
    ///
    /// It tells a caller when to look; what counts is what [`container_status`](Self::container_status) then says. A reader that
    /// does not keep up gets [`Unavailable`](RuntimeError::Unavailable) as the last item and begins anew with a list.
    async fn events(&self) -> Result<RuntimeStream<ContainerEvent>, RuntimeError>;
}
