//! Parts of volumes.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use super::kernel;

/// Shows what lies at `path` in `volume` at `target`, and makes it a folder if there is nothing. What symbolic links lead out of the volume is
/// refused; and as the container mounts `target`, it sees what was checked, whatever is done to the volume meanwhile.
pub(super) fn show(volume: &Path, path: &Path, target: &Path) -> io::Result<()> {
    let found = match kernel::open_beneath(volume, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // As the volume's root, so that who may write there may write here.
            let mode = fs::metadata(volume)?.permissions().mode() & 0o7777;
            kernel::create_beneath(volume, path, mode)?;
            kernel::open_beneath(volume, path)?
        }
        found => found?,
    };
    hide(target)?;
    let parent = target.parent().unwrap_or(target);
    fs::create_dir_all(parent)?;
    if kernel::is_directory(&found)? {
        fs::create_dir_all(target)?;
    } else {
        fs::File::create(target)?;
    }
    kernel::bind(&found, target)
}

/// Undoes that.
pub(super) fn hide(target: &Path) -> io::Result<()> {
    for place in kernel::mounts_below(target)?.iter().rev() {
        kernel::unmount_at(place)?;
    }
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => fs::remove_dir(target),
        Ok(_) => fs::remove_file(target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The path as one that goes down only, or why it is none.
pub(super) fn checked(path: &str) -> Result<PathBuf, String> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Err(format!("error SubPath `{}` must not be an absolute path", path.display()));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("unable to provision SubPath `{}`: must not contain '..'", path.display()));
    }
    Ok(path.components().filter(|part| *part != Component::CurDir).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_down_only() {
        assert_eq!(checked("a/./b"), Ok(PathBuf::from("a/b")));
        assert_eq!(checked("/a").unwrap_err(), "error SubPath `/a` must not be an absolute path");
        assert_eq!(checked("a/../b").unwrap_err(), "unable to provision SubPath `a/../b`: must not contain '..'");
    }
}
