//! What volumes ask of the kernel beside files: mounts, and paths that do not leave a folder.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2},
    mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount},
};

/// Mounts an empty file system in memory, of at most `size` bytes if that is not zero.
pub(super) fn mount_tmpfs(at: &Path, size: i64) -> io::Result<()> {
    let options = if size > 0 { format!("size={size}") } else { String::new() };
    let options = std::ffi::CString::new(options)?;
    Ok(mount("tmpfs", at, "tmpfs", MountFlags::empty(), &*options)?)
}

/// Mounts an empty file system whose files lie in huge pages of this size in bytes.
pub(super) fn mount_hugetlbfs(at: &Path, page_size: u64) -> io::Result<()> {
    let options = std::ffi::CString::new(format!("pagesize={page_size}"))?;
    Ok(mount("nodev", at, "hugetlbfs", MountFlags::empty(), &*options)?)
}

/// Shows what `of` is open on at `at` too.
pub(super) fn bind(of: &OwnedFd, at: &Path) -> io::Result<()> {
    Ok(mount_bind(format!("/proc/self/fd/{}", of.as_raw_fd()), at)?)
}

/// Unmounts what is mounted at `at`; as soon as nobody uses it, if that is not now.
pub(super) fn unmount_at(at: &Path) -> io::Result<()> {
    Ok(unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// Opens what lies at `path` below `root`, following symbolic links as long as they do not lead out of it.
pub(super) fn open_beneath(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// What is in the file at `path` below `root`, of at most `max` bytes. What is no file, as a device, is not opened: that alone may do something.
pub(super) fn read_beneath(root: &Path, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let found = open_beneath(root, path)?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Whoever holds a lease of the file does not hold up the kubelet.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, format!("/proc/self/fd/{}", found.as_raw_fd()), flags, Mode::empty())?);
    let mut found = Vec::new();
    file.take(max + 1).read_to_end(&mut found)?;
    if found.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} bytes")));
    }
    Ok(found)
}

/// Makes the folders of `path` below `root` that are not there, with these permissions; never outside of it.
pub(super) fn create_beneath(root: &Path, path: &Path, mode: u32) -> io::Result<()> {
    let mut made = PathBuf::new();
    for part in path.components() {
        let parent = if made.as_os_str().is_empty() { Path::new(".") } else { made.as_path() };
        let parent = open_beneath(root, parent)?;
        made.push(part);
        match open_beneath(root, &made) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(mode))?;
                let new = openat(
                    &parent,
                    part.as_os_str(),
                    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                // Whatever the process' mask is.
                rustix::fs::fchmod(&new, Mode::from_raw_mode(mode))?;
            }
            other => drop(other?),
        }
    }
    Ok(())
}

/// Whether what is open is a folder.
pub(super) fn is_directory(file: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Directory)
}

/// The places below `root`, itself included, where something is mounted: those that lie in others last.
pub(super) fn mounts_below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo")?;
    let places = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    Ok(places.filter(|place| place.starts_with(root)).collect())
}

/// A path of `mountinfo`, which has blanks in octal.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let byte = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_paths_of_mounts_are_octal() {
        assert_eq!(unescaped(r"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescaped(r"/a\9x\"), Path::new(r"/a\9x\"));
        assert!(mounts_below(Path::new("/")).unwrap().contains(&PathBuf::from("/")));
    }

    #[test]
    fn paths_do_not_leave_their_folder() {
        let root = super::super::testing::Folder::new();
        std::fs::create_dir(root.path().join("in")).unwrap();
        std::os::unix::fs::symlink("in", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("out")).unwrap();
        std::os::unix::fs::symlink("../..", root.path().join("up")).unwrap();
        create_beneath(root.path(), Path::new("link/a/b"), 0o750).unwrap();
        assert!(root.path().join("in/a/b").is_dir());
        assert!(is_directory(&open_beneath(root.path(), Path::new("link/a")).unwrap()).unwrap());
        for path in ["out", "out/passwd", "up", "../x", "link/../../x"] {
            assert!(open_beneath(root.path(), Path::new(path)).is_err(), "{path}");
            assert!(create_beneath(root.path(), &Path::new(path).join("new"), 0o750).is_err(), "{path}");
        }
    }

    #[test]
    fn only_files_are_opened_to_be_read() {
        let root = super::super::testing::Folder::new();
        std::fs::write(root.path().join("f"), "text").unwrap();
        let read = |path: &str, max| read_beneath(root.path(), Path::new(path), max);
        assert_eq!(read("f", 4).unwrap(), b"text");
        assert_eq!(read("f", 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // A socket cannot be opened at all: who tried would be told something else.
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("s")).unwrap();
        assert_eq!(read("s", 4).unwrap_err().to_string(), "not a regular file");
    }
}
