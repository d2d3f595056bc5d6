use jiff::Timestamp;

use super::ContainerId;

/// What a container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStats {
    /// The container.
    pub container: ContainerId,
    /// When it was measured.
    pub at: Timestamp,
    /// Nanoseconds of CPU time since its start.
    pub cpu_usage_nanos: u64,
    /// Bytes of memory that cannot be reclaimed.
    pub memory_working_set: u64,
    /// Bytes that it wrote to its own layer.
    pub writable_layer_bytes: u64,
}

/// What images take of a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesystemUsage {
    /// Where it is mounted.
    pub mountpoint: String,
    /// Bytes that are taken.
    pub used_bytes: u64,
    /// Inodes that are taken.
    pub inodes_used: u64,
}
