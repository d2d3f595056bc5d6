//! Gives a volume to a pod's group (`pkg/volume/volume_linux.go`).

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::Path,
};

const FILE: u32 = 0o660;
const FOLDER: u32 = 0o2770;

/// Gives all of `volume` to `group`, which can then read and write it; what is made in it later is the group's too. If only the root is to be
/// looked at (`OnRootMismatch`), nothing is done where that is right.
pub(super) fn give(volume: &Path, group: u32, only_on_mismatch: bool) -> io::Result<()> {
    let root = fs::symlink_metadata(volume)?;
    if only_on_mismatch && root.gid() == group && root.permissions().mode() & FOLDER == FOLDER {
        return Ok(());
    }
    give_below(volume, group)
}

fn give_below(path: &Path, group: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give_below(&entry?.path(), group)?;
        }
    }
    lchown(path, None, Some(group))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let more = if metadata.is_dir() { FOLDER } else { FILE };
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() | more))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Folder, *};

    #[test]
    fn a_volume_becomes_the_groups() {
        let folder = Folder::new();
        let group = fs::metadata(folder.path()).unwrap().gid();
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("d/f"), "").unwrap();
        fs::set_permissions(folder.path().join("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o7777;
        let of_passwd = fs::metadata("/etc/passwd").unwrap().permissions().mode();
        give(folder.path(), group, false).unwrap();
        assert_eq!((mode("d") & FOLDER, mode("d/f")), (FOLDER, 0o660));
        assert_eq!(fs::metadata("/etc/passwd").unwrap().permissions().mode(), of_passwd);
        fs::set_permissions(folder.path().join("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
        give(folder.path(), group, true).unwrap();
        assert_eq!(mode("d/f"), 0o600);
    }
}
