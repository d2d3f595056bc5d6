//! Memory, as `proc/meminfo` has it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NodeSwapStatus;

use super::{MachineError, files::Files};

const MEMINFO: &str = "proc/meminfo";
const HUGE_PAGES: &str = "sys/kernel/mm/hugepages";

/// Bytes of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryInfo {
    pub(super) total: u64,
    free: u64,
    /// Pages of files that nobody used lately: the first to be given up.
    inactive_file: u64,
    swap: u64,
}

impl MemoryInfo {
    pub(super) fn read(files: &Files) -> Result<Self, MachineError> {
        let text = files.text(MEMINFO)?;
        let bytes = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes: Option<u64> = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
            kilobytes.and_then(|kilobytes| kilobytes.checked_mul(1024)).ok_or_else(|| files.malformed(MEMINFO))
        };
        Ok(Self {
            total: bytes("MemTotal")?,
            free: bytes("MemFree")?,
            inactive_file: bytes("Inactive(file)")?,
            // A kernel may have none.
            swap: bytes("SwapTotal").unwrap_or_default(),
        })
    }

    /// What is not in the working set of all processes together, as Kubernetes counts it: what is free, and what is soon.
    pub(super) fn available(&self) -> u64 {
        self.free.saturating_add(self.inactive_file).min(self.total)
    }

    pub(super) fn swap(&self) -> Option<NodeSwapStatus> {
        let capacity = i64::try_from(self.swap).ok().filter(|capacity| *capacity > 0)?;
        Some(NodeSwapStatus { capacity: Some(capacity) })
    }
}

/// Bytes that are set aside as huge pages, by the size of a page in bytes: from folders like `hugepages-2048kB`.
pub(super) fn huge_pages(files: &Files) -> Result<BTreeMap<u64, u64>, MachineError> {
    let mut pages = BTreeMap::new();
    for name in files.names(HUGE_PAGES)? {
        let size = name.strip_prefix("hugepages-").and_then(|size| size.strip_suffix("kB")?.parse::<u64>().ok());
        let Some(size) = size.and_then(|kilobytes| kilobytes.checked_mul(1024)) else { continue };
        let count = files.number(&format!("{HUGE_PAGES}/{name}/nr_hugepages"))?;
        pages.insert(size, size.saturating_mul(count));
    }
    Ok(pages)
}
