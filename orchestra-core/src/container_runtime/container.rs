use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;

use super::{ContainerSecurity, ImageSpec, PidNamespace, SandboxId};

/// A container's id, chosen by the runtime. A pod's status has it as `<runtime's name>://<id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub Arc<str>);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of its sandbox's containers one is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerMetadata {
    /// The container's name in the pod.
    pub name: String,
    /// How often it was restarted before.
    pub attempt: u32,
}

/// Whether what is mounted later on one side of a mount is seen on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountPropagation {
    /// It is not (Kubernetes' `None`).
    #[default]
    Private,
    /// The container sees what is mounted on the node.
    HostToContainer,
    /// Each sees what is mounted on the other side.
    Bidirectional,
}

/// A directory or file of the node in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The path in the container.
    pub container_path: String,
    /// The path on the node.
    pub host_path: String,
    /// Whether the container may not write.
    pub readonly: bool,
    /// Whether later mounts are seen on the other side.
    pub propagation: MountPropagation,
}

/// Limits in the kernel's terms. Zero leaves the runtime's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerResources {
    /// Relative weight for CPU time (cgroup v1's scale, 2 to 262144).
    pub cpu_shares: u64,
    /// Microseconds of CPU time in each period.
    pub cpu_quota: i64,
    /// The period's length in microseconds.
    pub cpu_period: i64,
    /// Bytes of memory.
    pub memory_limit: i64,
    /// Bytes of memory and swap together.
    pub memory_swap_limit: i64,
    /// Who is killed first when memory runs out (-1000 to 1000).
    pub oom_score_adj: i32,
    /// Bytes of huge pages, by the size of a page as the kernel writes it in the names of cgroups' files: `2MB`. A size that is not named is
    /// not limited; zero is none at all.
    pub huge_pages: BTreeMap<String, u64>,
    /// What files of the container's cgroup are to say, by their names, as `memory.oom.group`. For cgroup v2 alone.
    pub unified: BTreeMap<String, String>,
}

/// What a container is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// Which container of its sandbox it is.
    pub metadata: ContainerMetadata,
    /// Its image.
    pub image: ImageSpec,
    /// Replaces the image's entry point unless empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments unless empty.
    pub args: Vec<String>,
    /// Replaces the image's working directory unless empty.
    pub working_dir: String,
    /// Environment variables, in order.
    pub env: Vec<(String, String)>,
    /// What is mounted into it.
    pub mounts: Vec<Mount>,
    /// Labels to find it by.
    pub labels: BTreeMap<String, String>,
    /// Data that is only kept.
    pub annotations: BTreeMap<String, String>,
    /// Its limits.
    pub resources: ContainerResources,
    /// What it may do.
    pub security: ContainerSecurity,
    /// Which processes it sees.
    pub pid: PidNamespace,
    /// The file in its sandbox's [`log_directory`](super::SandboxConfig::log_directory) that its output is written to.
    pub log_path: String,
    /// Whether its standard input is open.
    pub stdin: bool,
    /// Whether its standard input ends when the first who attached to it goes.
    pub stdin_once: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// How far a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerState {
    /// It exists and has not been started.
    Created,
    /// It runs.
    Running,
    /// It has ended, or failed to start.
    Exited,
    /// The runtime lost track of it.
    Unknown,
}

/// A container in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// The sandbox that it is in.
    pub sandbox: SandboxId,
    /// Which container of its sandbox it is.
    pub metadata: ContainerMetadata,
    /// Its image, as it was asked for.
    pub image: ImageSpec,
    /// The image's id in the runtime.
    pub image_ref: String,
    /// Its state.
    pub state: ContainerState,
    /// When it was created.
    pub created_at: Timestamp,
    /// As given at its creation.
    pub labels: BTreeMap<String, String>,
    /// As given at its creation.
    pub annotations: BTreeMap<String, String>,
}

/// A container with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// What lists tell too.
    pub container: Container,
    /// The image as a pod's status names it: by digest (`nginx@sha256:...`), or by the runtime's id of it.
    pub image_ref: String,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended; zero until then.
    pub exit_code: i32,
    /// Why it is in its state, one word: `Completed`, `Error`, `OOMKilled`.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// Whether it can serve, where the runtime knows by itself; CRI runtimes say `None`, and probes tell.
    pub ready: Option<bool>,
}

/// Which containers to list: those that satisfy everything that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFilter {
    /// Only this one.
    pub id: Option<ContainerId>,
    /// Only those in this sandbox.
    pub sandbox: Option<SandboxId>,
    /// Only those in this state.
    pub state: Option<ContainerState>,
    /// Only those with all these labels.
    pub labels: BTreeMap<String, String>,
}

impl ContainerFilter {
    /// Whether `container` passes.
    pub fn matches(&self, container: &Container) -> bool {
        self.id.as_ref().is_none_or(|id| *id == container.id)
            && self.sandbox.as_ref().is_none_or(|id| *id == container.sandbox)
            && self.state.is_none_or(|state| state == container.state)
            && self.labels.iter().all(|(name, value)| container.labels.get(name) == Some(value))
    }
}
