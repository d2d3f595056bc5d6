use std::{io, path::Path};

/// A file system, and what is left of it for those who are not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) struct Filesystem {
    /// Bytes.
    pub(in crate::kubelet) capacity: u64,
    /// Bytes.
    pub(in crate::kubelet) available: u64,
    /// Zero where there is no limit.
    pub(in crate::kubelet) inodes: u64,
    pub(in crate::kubelet) inodes_free: u64,
}

/// The file system that `path` is on. It may take as long as the file system takes to answer.
pub(in crate::kubelet) fn filesystem(path: &Path) -> io::Result<Filesystem> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Filesystem {
        capacity: stat.f_blocks.saturating_mul(stat.f_frsize),
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}
