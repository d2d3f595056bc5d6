/// Why a runtime did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No sandbox, container or image has this id.
    #[error("{kind} {id:?} not found")]
    NotFound {
        /// `sandbox`, `container` or `image`.
        kind: &'static str,
        /// What was asked for.
        id: String,
    },
    /// There is one of that name and attempt already.
    #[error("{kind} {name:?} already exists")]
    AlreadyExists {
        /// `sandbox` or `container`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The state does not allow it: starting a container that has exited, for instance.
    #[error("{0}")]
    FailedPrecondition(String),
    /// The request itself makes no sense.
    #[error("{0}")]
    InvalidArgument(String),
    /// The image could not be fetched.
    #[error("{reason}")]
    ImagePull {
        /// The runtime's words; users find them in the pod's events.
        reason: String,
    },
    /// A container could not be created or started.
    #[error("{0}")]
    Failed(String),
    /// It did not end in time.
    #[error("deadline exceeded: {0}")]
    DeadlineExceeded(String),
    /// The runtime does not answer. What it runs is unknown, so nothing may be concluded from it.
    #[error("container runtime is unavailable: {0}")]
    Unavailable(String),
    /// This runtime has no such ability.
    #[error("{0} is not supported by the container runtime")]
    Unsupported(&'static str),
}

impl RuntimeError {
    /// No sandbox has this id.
    pub fn no_sandbox(id: impl Into<String>) -> Self {
        Self::NotFound { kind: "sandbox", id: id.into() }
    }

    /// No container has this id.
    pub fn no_container(id: impl Into<String>) -> Self {
        Self::NotFound { kind: "container", id: id.into() }
    }

    /// Whether something that was named does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
