//! Gives a volume to a pod's group (`pkg/volume/volume_linux.go`).

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, chmod, chownat, fstat, openat};

use super::walk;

const FILE: u32 = 0o660;
const FOLDER: u32 = 0o2770;

/// Gives all of `volume` to `group`, which can then read and write it; what is made in it later is the group's too. If only the root is to be
/// looked at (`OnRootMismatch`), nothing is done where that is right.
///
/// Containers may have the volume already, and put links where files were: so each file is opened first, and what is open is given.
pub(super) fn give(volume: &Path, group: u32, only_on_mismatch: bool) -> io::Result<()> {
    let root = openat(CWD, volume, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let found = fstat(&root)?;
    if only_on_mismatch && found.st_gid == group && found.st_mode & FOLDER == FOLDER {
        return Ok(());
    }
    walk::below(root.try_clone()?, |folder, name| give_open(&open(folder, name)?, group))?;
    // Last, as it tells that all of it is given.
    give_open(&root, group).map(drop)
}

/// Opens what has this name, a symbolic link itself, without any effect on it.
fn open(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    Ok(openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Gives what is open, and says whether it is a folder.
fn give_open(file: &OwnedFd, group: u32) -> io::Result<bool> {
    let mode = fstat(file)?.st_mode;
    chownat(file.as_fd(), "", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH)?;
    let kind = FileType::from_raw_mode(mode);
    let more = if kind == FileType::Directory { FOLDER } else { FILE };
    if kind != FileType::Symlink {
        // What is open without access to its content can be changed by this name only.
        chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(mode | more))?;
    }
    Ok(kind == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    use super::{super::testing::Folder, *};

    #[test]
    fn a_volume_becomes_the_groups() {
        let folder = Folder::new();
        let group = fs::metadata(folder.path()).unwrap().gid();
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("d/f"), "").unwrap();
        fs::set_permissions(folder.path().join("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o7777;
        let of_passwd = fs::metadata("/etc/passwd").unwrap().permissions().mode();
        give(folder.path(), group, false).unwrap();
        assert_eq!((mode("d") & FOLDER, mode("d/f")), (FOLDER, 0o660));
        assert_eq!(fs::metadata("/etc/passwd").unwrap().permissions().mode(), of_passwd);
        fs::set_permissions(folder.path().join("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
        give(folder.path(), group, true).unwrap();
        assert_eq!(mode("d/f"), 0o600);
    }

    #[test]
    fn a_link_that_takes_a_files_place_meanwhile_leads_nowhere() {
        let folder = Folder::new();
        let (file, moved, other) = (folder.path().join("f"), folder.path().join("g"), folder.path().join("other"));
        for path in [&file, &other] {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let group = fs::metadata(&file).unwrap().gid();
        let opened = open(fs::File::open(folder.path()).unwrap().as_fd(), c"f").unwrap();
        fs::rename(&file, &moved).unwrap();
        symlink(&other, &file).unwrap();
        assert!(!give_open(&opened, group).unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&moved), mode(&other)), (0o660, 0o600));
        let opened = open(fs::File::open(folder.path()).unwrap().as_fd(), c"f").unwrap();
        assert!(!give_open(&opened, group).unwrap());
        assert_eq!(mode(&other), 0o600);
    }

    #[test]
    fn what_lies_deeper_than_any_path_is_given_too() {
        let folder = Folder::new();
        let group = fs::metadata(folder.path()).unwrap().gid();
        let file = folder.deep_file(600, b"x");
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        give(folder.path(), group, false).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o660);
    }
}
