//! Cgroups as files: the only place that knows of the kernel's two ways to lay them out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    limits::{Limits, Most},
    place::Place,
};
use crate::kubelet::huge_pages::{Pages, kernel_name};

/// Microseconds of which a quota is a part: the kernel's default.
pub(super) const PERIOD: u64 = 100_000;
/// What pods' cgroups must have on v2.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// What more they have if the kernel has it.
const MORE_CONTROLLERS: [&str; 4] = ["cpuset", "io", "hugetlb", "rdma"];

/// The hierarchies of a machine.
#[derive(Clone, Debug)]
pub(super) enum Hierarchies {
    V1(Legacy),
    /// One for all controllers.
    V2(PathBuf),
}

/// Those of cgroup v1: one for each controller, or for a few.
#[derive(Clone, Debug)]
pub(super) struct Legacy {
    /// Where each controller is.
    pub(super) controllers: BTreeMap<String, PathBuf>,
    /// Where the hierarchies are, each once.
    pub(super) folders: Vec<PathBuf>,
    /// A hierarchy of v2 that has no controllers, in which runtimes may make cgroups too.
    pub(super) processes_only: Option<PathBuf>,
}

/// Why a cgroup is not as it is to be.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub(in crate::kubelet) struct CgroupError {
    path: PathBuf,
    source: io::Error,
}

impl CgroupError {
    /// What happened to the cgroup at `path`.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self { path, source }
    }

    /// Whether the cgroup is not there.
    pub(super) fn is_absent(&self) -> bool {
        self.source.kind() == ErrorKind::NotFound
    }
}

impl Hierarchies {
    /// Makes a cgroup, and those that it lies in, unless they are there.
    pub(super) fn make(&self, place: &Place) -> Result<(), CgroupError> {
        match self {
            Self::V1(v1) => v1.folders.iter().try_for_each(|folder| make_in(folder, place)),
            Self::V2(root) => {
                let mut at = root.clone();
                for part in place.path() {
                    delegate(&at)?;
                    at.push(part);
                    make_folder(&at)?;
                }
                has_controllers(&at)
            }
        }
    }

    /// Grants a cgroup that there is what `limits` says.
    pub(super) fn set(&self, place: &Place, limits: &Limits) -> Result<(), CgroupError> {
        for (controller, file, value) in self.values(limits) {
            let Some(folder) = self.folder(controller) else { continue };
            write(&folder.join(place.path()).join(file), &value)?;
        }
        match &limits.huge_pages {
            Some(pages) => self.set_huge_pages(place, pages),
            None => Ok(()),
        }
    }

    /// Limits the pages of each size that the kernel has, those that are reserved and those that are used, if it counts them at all.
    fn set_huge_pages(&self, place: &Place, pages: &Pages) -> Result<(), CgroupError> {
        let Some(folder) = self.folder("hugetlb").map(|folder| folder.join(place.path())) else { return Ok(()) };
        let limit = match self {
            Self::V1(_) => ".limit_in_bytes",
            Self::V2(_) => ".max",
        };
        let names = fs::read_dir(&folder).map_err(CgroupError::at(&folder))?.flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            let size = name.strip_prefix("hugetlb.").and_then(|name| name.strip_suffix(limit));
            if let Some(size) = size.map(|size| size.strip_suffix(".rsvd").unwrap_or(size)) {
                let granted =
                    pages.iter().find(|(bytes, _)| kernel_name(**bytes) == size).map_or(0, |(_, amount)| *amount);
                write(&folder.join(&name), &granted.to_string())?;
            }
        }
        Ok(())
    }

    /// Controllers, files and what is written to them.
    fn values(&self, limits: &Limits) -> Vec<(&'static str, &'static str, String)> {
        let number = |most: Most, none: &str| most.0.map_or_else(|| none.to_owned(), |amount| amount.to_string());
        let shares = limits.shares;
        let values = match self {
            Self::V1(_) => [
                shares.map(|shares| ("cpu", "cpu.shares", shares.to_string())),
                limits.quota.map(|_| ("cpu", "cpu.cfs_period_us", PERIOD.to_string())),
                limits.quota.map(|quota| ("cpu", "cpu.cfs_quota_us", number(quota, "-1"))),
                limits.memory.map(|memory| ("memory", "memory.limit_in_bytes", number(memory, "-1"))),
                limits.processes.map(|most| ("pids", "pids.max", number(most, "max"))),
            ],
            Self::V2(_) => [
                shares.map(|shares| ("cpu", "cpu.weight", weight(shares).to_string())),
                limits.quota.map(|quota| ("cpu", "cpu.max", format!("{} {PERIOD}", number(quota, "max")))),
                limits.memory.map(|memory| ("memory", "memory.max", number(memory, "max"))),
                limits.processes.map(|most| ("pids", "pids.max", number(most, "max"))),
                None,
            ],
        };
        values.into_iter().flatten().collect()
    }

    /// The hierarchy of a controller, if it is there.
    fn folder(&self, controller: &str) -> Option<&Path> {
        match self {
            Self::V1(v1) => v1.controllers.get(controller).map(PathBuf::as_path),
            Self::V2(root) => Some(root),
        }
    }

    /// The bytes of memory that a cgroup has now.
    pub(super) fn memory_usage(&self, place: &Place) -> Result<u64, CgroupError> {
        let file = match self {
            Self::V1(_) => "memory.usage_in_bytes",
            Self::V2(_) => "memory.current",
        };
        let path = self.folder("memory").unwrap_or(Path::new("/")).join(place.path()).join(file);
        let number = fs::read_to_string(&path).and_then(|text| text.trim().parse().map_err(io::Error::other));
        number.map_err(CgroupError::at(&path))
    }

    /// Removes a cgroup with those in it, unless it is gone, and kills what still runs there. What is about to die holds it up: then this is
    /// an error, and to be tried again.
    pub(super) fn remove(&self, place: &Place) -> Result<(), CgroupError> {
        self.kill(place);
        let folders: Vec<_> = self.all_folders().map(|folder| folder.join(place.path())).collect();
        // One that is busy keeps none of the others.
        each(&folders, |folder| remove_tree(folder))
    }

    /// Kills what runs in a cgroup and in those in it.
    pub(super) fn kill(&self, place: &Place) {
        self.all_folders().for_each(|folder| kill_all(&folder.join(place.path())));
    }

    /// The names of the cgroups in one, in whichever hierarchy they are.
    pub(super) fn children(&self, place: &Place) -> BTreeSet<String> {
        let entries =
            self.all_folders().flat_map(|folder| fs::read_dir(folder.join(place.path())).into_iter().flatten());
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn all_folders(&self) -> impl Iterator<Item = &Path> {
        let (v1, v2) = match self {
            Self::V1(v1) => (v1.folders.as_slice(), v1.processes_only.as_ref()),
            Self::V2(root) => (&[] as &[PathBuf], Some(root)),
        };
        v1.iter().chain(v2).map(PathBuf::as_path)
    }
}

/// The weight of cgroup v2 for shares of v1, as Kubernetes' kubelet converts them (KEP-2254). Runtimes have come to do it otherwise.
pub(super) fn weight(shares: u64) -> u64 {
    1 + shares.clamp(2, 262_144).saturating_sub(2) * 9999 / 262_142
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    // Nothing is made here: the kernel has the files.
    let file = fs::File::options().write(true).truncate(true).open(path);
    file.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes())).map_err(CgroupError::at(path))
}

fn make_folder(path: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(CgroupError::at(path)),
    }
}

/// Makes a cgroup of v1. One of `cpuset` takes no process before it has processors and memory: its parent's, as runtimes do it.
fn make_in(hierarchy: &Path, place: &Place) -> Result<(), CgroupError> {
    let mut path = hierarchy.to_owned();
    for part in place.path() {
        let parent = path.clone();
        path.push(part);
        make_folder(&path)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (own, of_parent) = (path.join(file), parent.join(file));
            let is_empty = fs::read_to_string(&own).is_ok_and(|value| value.trim().is_empty());
            if is_empty && let Ok(value) = fs::read_to_string(of_parent) {
                write(&own, value.trim())?;
            }
        }
    }
    Ok(())
}

/// Has the cgroups in one of v2 have controllers, one by one: the kernel refuses all of those that it is told of together if it lacks one.
fn delegate(cgroup: &Path) -> Result<(), CgroupError> {
    let file = cgroup.join("cgroup.subtree_control");
    for controller in CONTROLLERS.into_iter().chain(MORE_CONTROLLERS) {
        match write(&file, &format!("+{controller}")) {
            Err(error) if CONTROLLERS.contains(&controller) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn has_controllers(cgroup: &Path) -> Result<(), CgroupError> {
    let path = cgroup.join("cgroup.controllers");
    let found = fs::read_to_string(&path).map_err(CgroupError::at(&path))?;
    let missing: Vec<_> =
        CONTROLLERS.into_iter().filter(|name| found.split_whitespace().all(|has| has != *name)).collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(CgroupError::at(cgroup)(io::Error::other(format!(
            "has some missing controllers: {}",
            missing.join(", ")
        )))),
    }
}

fn kill_all(cgroup: &Path) {
    folders_in(cgroup).iter().for_each(|child| kill_all(child));
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        // It may have ended by itself.
        let _ = kill_process(process, Signal::KILL);
    }
}

/// Does this for all, whatever becomes of the others; the first error is returned.
pub(super) fn each<T>(all: &[T], one: impl Fn(&T) -> Result<(), CgroupError>) -> Result<(), CgroupError> {
    let results: Vec<_> = all.iter().map(one).collect();
    results.into_iter().collect()
}

fn remove_tree(cgroup: &Path) -> Result<(), CgroupError> {
    each(&folders_in(cgroup), |child| remove_tree(child))?;
    match fs::remove_dir(cgroup) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(CgroupError::at(cgroup)),
    }
}

fn folders_in(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}
