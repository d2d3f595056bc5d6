//! Folders that live as long as their pod (`pkg/volume/emptydir`).

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};
use orchestra_core::quantity::Quantity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, statat};

use super::{VolumeError, kernel, walk};
use crate::kubelet::huge_pages;

const HUGE_PAGES: &str = "HugePages";

/// Where such a folder is kept.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) enum Medium {
    Disk,
    /// At most so many bytes; as many as there are if zero.
    Memory(i64),
    /// Huge pages of this size in bytes.
    HugePages(u64),
}

/// The medium that the volume asks for, on a node with so much memory.
pub(super) fn medium(source: &EmptyDirVolumeSource, pod: &Pod, node_memory: i64) -> Result<Medium, VolumeError> {
    match source.medium.as_deref().unwrap_or_default() {
        "" => Ok(Medium::Disk),
        "Memory" => Ok(Medium::Memory(memory_size(source, pod, node_memory))),
        other if other.starts_with(HUGE_PAGES) => huge_pages(other, pod).map(Medium::HugePages),
        other => Err(VolumeError::new(format!("unknown storage medium {other:?}"))),
    }
}

/// The size of the pages that `HugePages` or `HugePages-2Mi` asks for. The pod must ask for some of them too: without a limit for them it has none.
fn huge_pages(medium: &str, pod: &Pod) -> Result<u64, VolumeError> {
    let requested = huge_pages::requested(pod);
    let named = medium.strip_prefix(HUGE_PAGES).and_then(|rest| rest.strip_prefix('-'));
    let fitting = match named {
        Some(size) => huge_pages::page_size(size).filter(|size| requested.contains(size)),
        None if medium != HUGE_PAGES => return Err(VolumeError::new(format!("unknown storage medium {medium:?}"))),
        None if requested.len() > 1 => {
            let why = format!("medium: {medium} can't be used if container requests multiple huge page sizes");
            return Err(VolumeError::new(why));
        }
        None => requested.first().copied(),
    };
    let why = "hugePages storage requested, but there is no resource request for huge pages";
    fitting.ok_or_else(|| VolumeError::new(format!("medium {medium}: {why}")))
}

/// The least of what the volume asks for, what the pod may use, and what the node has.
fn memory_size(source: &EmptyDirVolumeSource, pod: &Pod, node_memory: i64) -> i64 {
    let limits = [size_limit(source).map_or(0, Quantity::value), memory_limit(pod), node_memory];
    limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or(0)
}

/// How large the folder may become, if that is limited.
pub(super) fn size_limit(source: &EmptyDirVolumeSource) -> Option<Quantity> {
    let limit = source.size_limit.as_ref()?.0.parse::<Quantity>().ok()?;
    Some(limit).filter(|limit| limit.value() > 0)
}

/// What all containers together may use; zero if one has no limit.
fn memory_limit(pod: &Pod) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let limits = containers.map(|container| {
        let limit = container.resources.as_ref()?.limits.as_ref()?.get("memory")?;
        limit.0.parse::<Quantity>().ok().map(Quantity::value)
    });
    limits.sum::<Option<i64>>().unwrap_or(0)
}

/// Makes the folder, unless it is there.
pub(super) fn make(path: &Path, medium: Medium) -> io::Result<()> {
    fs::create_dir_all(path)?;
    if medium != Medium::Disk && !kernel::mounts_below(path)?.iter().any(|place| place == path) {
        match medium {
            Medium::Disk => {}
            Medium::Memory(size) => kernel::mount_tmpfs(path, size)?,
            Medium::HugePages(size) => kernel::mount_hugetlbfs(path, size)?,
        }
    }
    // Others may have been given more since.
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o777 == 0o777 { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o777)) }
}

/// The bytes that a folder takes of the file system that it lies on. What cannot be read in it is left out.
pub(super) fn usage(path: &Path) -> io::Result<u64> {
    let root = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let found = fstat(&root)?;
    let mut blocks = found.st_blocks.unsigned_abs();
    let failed = walk::below(root, |folder, name| {
        let entry = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_folder = FileType::from_raw_mode(entry.st_mode) == FileType::Directory;
        // What is mounted there is on another. Files tell nothing: an overlay's are on those that it is made of.
        if is_folder && entry.st_dev != found.st_dev {
            return Ok(false);
        }
        blocks = blocks.saturating_add(entry.st_blocks.unsigned_abs());
        Ok(is_folder)
    });
    if let Err(error) = failed {
        tracing::debug!(%error, path = %path.display(), "part of a folder is not measured");
    }
    Ok(blocks.saturating_mul(512))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn memory_is_limited_by_the_least_of_all_limits() {
        let of = |source: Value, limit: Value| {
            let spec = json!({ "spec": { "containers": [{ "name": "c", "resources": { "limits": limit } }] } });
            let (source, pod) = (serde_json::from_value(source).unwrap(), serde_json::from_value(spec).unwrap());
            medium(&source, &pod, 1 << 30).map_err(|error| error.to_string())
        };
        assert_eq!(of(json!({}), json!({})), Ok(Medium::Disk));
        assert_eq!(of(json!({ "medium": "Memory" }), json!({})), Ok(Medium::Memory(1 << 30)));
        assert_eq!(of(json!({ "medium": "Memory", "sizeLimit": "1Mi" }), json!({})), Ok(Medium::Memory(1 << 20)));
        let pod_limit = json!({ "memory": "512Ki" });
        assert_eq!(of(json!({ "medium": "Memory", "sizeLimit": "1Mi" }), pod_limit), Ok(Medium::Memory(1 << 19)));
    }

    #[test]
    fn huge_pages_are_of_a_size_that_the_pod_asks_for() {
        let of = |name: &str, asked: &[&str]| {
            let requests: serde_json::Map<_, _> = asked.iter().map(|name| ((*name).to_owned(), json!("4Mi"))).collect();
            let spec = json!({ "spec": { "containers": [{ "name": "c", "resources": { "requests": requests } }] } });
            let source = serde_json::from_value(json!({ "medium": name })).unwrap();
            medium(&source, &serde_json::from_value(spec).unwrap(), 0).map_err(|error| error.to_string())
        };
        let (two, both) = (["hugepages-2Mi"], ["hugepages-2Mi", "hugepages-1Gi"]);
        assert_eq!(of("HugePages", &two), Ok(Medium::HugePages(2 << 20)));
        assert_eq!(of("HugePages-1Gi", &both), Ok(Medium::HugePages(1 << 30)));
        let several = "medium: HugePages can't be used if container requests multiple huge page sizes";
        assert_eq!(of("HugePages", &both), Err(several.to_owned()));
        for (name, asked) in [("HugePages", [].as_slice()), ("HugePages-1Gi", &two), ("HugePages-x", &two)] {
            let none = "hugePages storage requested, but there is no resource request for huge pages";
            assert_eq!(of(name, asked), Err(format!("medium {name}: {none}")));
        }
        assert_eq!(of("HugePagesOfMine", &two), Err("unknown storage medium \"HugePagesOfMine\"".to_owned()));
    }

    #[test]
    fn usage_counts_what_lies_below() {
        let folder = super::super::testing::Folder::new();
        make(&folder.path().join("v"), Medium::Disk).unwrap();
        let before = usage(&folder.path().join("v")).unwrap();
        fs::create_dir(folder.path().join("v/d")).unwrap();
        fs::write(folder.path().join("v/d/f"), vec![1; 100_000]).unwrap();
        assert!(usage(&folder.path().join("v")).unwrap() >= before + 100_000);
        assert_eq!(fs::metadata(folder.path().join("v")).unwrap().permissions().mode() & 0o777, 0o777);
    }

    #[test]
    fn no_depth_hides_what_a_folder_takes() {
        let folder = super::super::testing::Folder::new();
        folder.deep_file(600, &[1; 100_000]);
        assert!(usage(folder.path()).unwrap() >= 100_000);
    }
}
