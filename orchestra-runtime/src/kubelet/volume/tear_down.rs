//! Takes away what was made for a pod.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{PodFolder, VolumeError, blocking, folder, kernel, remove::remove_all};

/// Takes away the volumes of a pod whose containers have ended.
pub(in crate::kubelet) async fn remove_volumes(root: PathBuf, uid: String) -> Result<(), VolumeError> {
    blocking(move || {
        let folder = PodFolder::of(&root, &uid)?;
        remove(&folder.sub_paths())?;
        Ok(remove(&folder.volumes())?)
    })
    .await
}

/// Takes away all of a pod that is gone: its folder, and the folder of its logs.
pub(in crate::kubelet) async fn remove_pod(
    root: PathBuf,
    uid: String,
    logs: Option<PathBuf>,
) -> Result<(), VolumeError> {
    blocking(move || {
        remove(PodFolder::of(&root, &uid)?.path())?;
        logs.map_or(Ok(()), |logs| Ok(remove_all(&logs)?))
    })
    .await
}

/// Takes away the folders of pods that are not `known`, and of their logs below `logs`.
pub(in crate::kubelet) async fn remove_orphans(
    root: PathBuf,
    logs: Option<PathBuf>,
    known: impl Fn(&str) -> bool + Send + 'static,
) -> Result<(), VolumeError> {
    blocking(move || {
        let all = match fs::read_dir(folder::all_of(&root)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            all => all?,
        };
        for entry in all {
            let name = entry?.file_name();
            let Some(uid) = name.to_str().filter(|uid| !known(uid)) else { continue };
            remove(PodFolder::of(&root, uid)?.path())?;
            logs.as_deref().map_or(Ok(()), |logs| remove_logs(logs, uid))?;
        }
        Ok(())
    })
    .await
}

/// The folders of logs are named after the pod, with its uid last.
fn remove_logs(logs: &Path, uid: &str) -> io::Result<()> {
    let all = match fs::read_dir(logs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        all => all?,
    };
    let suffix = format!("_{uid}");
    for entry in all {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.ends_with(&suffix)) {
            remove_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Unmounts what is mounted below `folder` and removes it. What is still mounted is never removed: it may be the node's.
fn remove(folder: &Path) -> io::Result<()> {
    for place in kernel::mounts_below(folder)?.iter().rev() {
        kernel::unmount_at(place)?;
    }
    if let Some(place) = kernel::mounts_below(folder)?.first() {
        return Err(io::Error::other(format!("{} is still mounted", place.display())));
    }
    remove_all(folder)
}
