//! The machine that a kubelet runs on, as the kernel and the distribution describe it.

mod cpu;
mod files;
mod filesystem;
mod identity;
mod memory;
mod network;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use k8s_openapi::api::core::v1::NodeSystemInfo;
use orchestra_core::quantity::Quantity;

pub use self::files::MachineError;
pub(in crate::kubelet) use self::filesystem::{Filesystem, filesystem};
use self::{files::Files, identity::Identity, memory::MemoryInfo};

/// What a kubelet tells of the machine that it runs on: what it has, what it is and how much of it is taken.
///
/// ```
/// use orchestra_runtime::kubelet::Machine;
///
/// let machine = Machine::local()?;
/// println!("{} CPUs, {} bytes of memory, {}", machine.cpus(), machine.memory(), machine.os_image());
/// # Ok::<(), orchestra_runtime::kubelet::MachineError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    files: Files,
    identity: Identity,
    cpus: u64,
    memory: MemoryInfo,
    /// Bytes set aside, by the size of a page in bytes.
    huge_pages: BTreeMap<u64, u64>,
}

impl Machine {
    /// This machine. An error names what cannot be read.
    pub fn local() -> Result<Self, MachineError> {
        Self::at("/")
    }

    /// The machine whose `/proc`, `/sys` and `/etc` are below the folder `root`: for a kubelet in a container that has the machine's in a
    /// folder of its own.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, MachineError> {
        let files = Files::below(root.into());
        Ok(Self {
            identity: Identity::read(&files)?,
            cpus: files.count_of("proc/cpuinfo", "processor")?,
            memory: MemoryInfo::read(&files)?,
            huge_pages: memory::huge_pages(&files)?,
            files,
        })
    }

    /// How many CPUs are online.
    pub fn cpus(&self) -> u64 {
        self.cpus
    }

    /// Bytes of memory.
    pub fn memory(&self) -> u64 {
        self.memory.total
    }

    /// The distribution's name.
    pub fn os_image(&self) -> &str {
        &self.identity.os_image
    }

    /// Its name, in the lower case that names of nodes have.
    pub fn host_name(&self) -> Result<String, MachineError> {
        Ok(self.files.text("proc/sys/kernel/hostname")?.to_lowercase())
    }

    /// The address that the machine has on the way to others; `None` if there is no such way.
    pub fn address(&self) -> Option<IpAddr> {
        network::address()
    }

    /// Bytes of memory that can still be had.
    pub(in crate::kubelet) fn memory_available(&self) -> Result<u64, MachineError> {
        Ok(MemoryInfo::read(&self.files)?.available())
    }

    /// Bytes of memory that are in use, and not soon free.
    pub(in crate::kubelet) fn memory_used(&self) -> Result<u64, MachineError> {
        let memory = MemoryInfo::read(&self.files)?;
        Ok(memory.total - memory.available())
    }

    /// Nanoseconds of CPU time that were used since the machine started.
    pub(in crate::kubelet) fn cpu_used(&self) -> Result<u64, MachineError> {
        cpu::used(&self.files)
    }

    /// How many processes there can be, and how many of these are left.
    pub(in crate::kubelet) fn processes(&self) -> Result<(u64, u64), MachineError> {
        let most = self.files.number("proc/sys/kernel/pid_max")?;
        let most = most.min(self.files.number("proc/sys/kernel/threads-max")?);
        // `0.20 0.18 0.12 1/80 11206`: 80 that there are.
        let load = self.files.text("proc/loadavg")?;
        let all = load.split_whitespace().nth(3).and_then(|tasks| tasks.split_once('/')?.1.parse().ok());
        let all: u64 = all.ok_or_else(|| self.files.malformed("proc/loadavg"))?;
        Ok((most, most.saturating_sub(all)))
    }

    /// What the node has of everything but pods; `storage` is the file system of the pods' files.
    pub(in crate::kubelet) fn capacity(&self, storage: Option<Filesystem>) -> BTreeMap<String, String> {
        let mut capacity = BTreeMap::from([
            ("cpu".to_owned(), self.cpus.to_string()),
            ("memory".to_owned(), bytes(self.memory.total)),
        ]);
        if let Some(storage) = storage {
            capacity.insert("ephemeral-storage".to_owned(), bytes(storage.capacity));
        }
        let pages = |(size, reserved): (&u64, &u64)| (format!("hugepages-{}", bytes(*size)), bytes(*reserved));
        capacity.extend(self.huge_pages.iter().map(pages));
        capacity
    }

    /// Bytes of memory that are set aside as huge pages, and so no use to others.
    pub(in crate::kubelet) fn huge_pages(&self) -> u64 {
        self.huge_pages.values().sum()
    }

    /// Makes a node's description this machine's. What the machine does not tell stays.
    pub(in crate::kubelet) fn describe(&self, info: &mut NodeSystemInfo) {
        self.identity.describe(info);
        info.swap = self.memory.swap();
    }
}

/// A number of bytes as Kubernetes writes it: `16265476Ki`.
pub(in crate::kubelet) fn bytes(bytes: u64) -> String {
    Quantity::from_bytes(i64::try_from(bytes).unwrap_or(i64::MAX)).to_string()
}
