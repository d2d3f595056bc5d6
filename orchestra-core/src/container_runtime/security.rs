use super::ContainerId;

/// As whom a process runs. What is not set is the image's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunAs {
    /// The user's number.
    pub user: Option<i64>,
    /// The user's name, as the image knows it; only without a number.
    pub username: String,
    /// The primary group's number; only with a user.
    pub group: Option<i64>,
    /// Further groups.
    pub supplemental_groups: Vec<i64>,
}

/// Which system calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SeccompProfile {
    /// All.
    #[default]
    Unconfined,
    /// Those of the runtime's own profile.
    RuntimeDefault,
    /// Those of a profile in a file of the node.
    Localhost(String),
}

/// Which processes a container's processes see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PidNamespace {
    /// Those of the container.
    #[default]
    Container,
    /// Those of all containers of the pod.
    Pod,
    /// All of the node.
    Node,
    /// Those of another container, which an ephemeral one is to look at.
    Target(ContainerId),
}

/// What a sandbox may do, and the containers in it as far as they share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxSecurity {
    /// As whom the process that holds the sandbox runs.
    pub run_as: RunAs,
    /// Whether it may hold privileged containers.
    pub privileged: bool,
    /// Whether its root file system is read-only.
    pub readonly_rootfs: bool,
    /// The system calls of the process that holds it.
    pub seccomp: SeccompProfile,
}

/// What a container may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSecurity {
    /// As whom its processes run.
    pub run_as: RunAs,
    /// Whether it has full access to the node.
    pub privileged: bool,
    /// Whether its root file system is read-only.
    pub readonly_rootfs: bool,
    /// Whether its processes can never gain more rights than they begin with.
    pub no_new_privileges: bool,
    /// Capabilities beside the runtime's default ones, without `CAP_`; `ALL` is all.
    pub add_capabilities: Vec<String>,
    /// Capabilities that it has not.
    pub drop_capabilities: Vec<String>,
    /// Which system calls it may make.
    pub seccomp: SeccompProfile,
    /// Whether it sees all of `/proc`: by default the runtime hides what tells of the node.
    pub unmasked_proc: bool,
}
