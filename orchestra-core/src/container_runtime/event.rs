use jiff::Timestamp;

use super::{ContainerId, SandboxId};

/// What kind of thing happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerEventKind {
    /// It was created.
    Created,
    /// It was started.
    Started,
    /// It ended.
    Stopped,
    /// It was removed.
    Deleted,
    /// Whether it can serve changed ([`ready`](super::ContainerStatus::ready)). CRI has no such event.
    ReadinessChanged,
}

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// The container.
    pub container: ContainerId,
    /// The sandbox that it is, or was, in.
    pub sandbox: SandboxId,
    /// What happened.
    pub kind: ContainerEventKind,
    /// When.
    pub at: Timestamp,
}
