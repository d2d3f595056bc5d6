/// Which runtime it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// Its name, the scheme of container ids: `containerd`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the interface that it speaks: `v1`.
    pub api_version: String,
}

/// Who makes cgroups on a node (CRI's `CgroupDriver`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// Whoever needs them, in the kernel's file system.
    #[default]
    Cgroupfs,
    /// systemd, which is asked for them.
    Systemd,
}

/// Something that must be so for pods to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeCondition {
    /// Whether it is.
    pub ready: bool,
    /// Why not, one word.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

/// Whether pods can run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeStatus {
    /// Whether containers can be run (CRI's `RuntimeReady`).
    pub runtime: RuntimeCondition,
    /// Whether sandboxes get a network (CRI's `NetworkReady`).
    pub network: RuntimeCondition,
}

impl RuntimeStatus {
    /// All is well.
    pub fn ready() -> Self {
        let ready = RuntimeCondition { ready: true, ..Default::default() };
        Self { runtime: ready.clone(), network: ready }
    }
}
