//! Removes what pods wrote.

use std::{ffi::CStr, fs, io, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat},
    io::Errno,
};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes a folder with all that is in it, if it is there.
///
/// What lies in its folders is moved up to them first, until no folder has another in it. To go down as far as a pod can nest folders would take
/// more open files, and more of the stack, than there are.
pub(super) fn remove_all(folder: &Path) -> io::Result<()> {
    let top = match openat(CWD, folder, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        top => top?,
    };
    let mut moved = 0_u64;
    // What is moved while the folder is read may not be seen before it is read again.
    while empty(&top, |name| {
        let inner = openat(&top, name, FOLDER, Mode::empty())?;
        empty(&inner, |name| move_up(&inner, name, &top, &mut moved))?;
        match unlinkat(&top, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            other => Ok(other?),
        }
    })? {}
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what is in a folder, and calls `with_folder` with the names of the folders in it. Whether there was anything.
fn empty(folder: &OwnedFd, mut with_folder: impl FnMut(&CStr) -> io::Result<()>) -> io::Result<bool> {
    let mut any = false;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        any = true;
        match unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => with_folder(name)?,
            Err(Errno::NOENT) => {}
            other => other?,
        }
    }
    Ok(any)
}

/// Moves a folder to where `to` is, under a name that is free there.
fn move_up(from: &OwnedFd, name: &CStr, to: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match renameat(from, name, to, format!("removed-{moved}")) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Folder, *};

    #[test]
    fn all_of_a_folder_goes_and_nothing_else() {
        let folder = Folder::new();
        let (all, other) = (folder.path().join("all"), folder.path().join("other"));
        fs::create_dir_all(all.join("a/b/c/removed-1")).unwrap();
        fs::create_dir_all(all.join("removed-1/x/removed-2")).unwrap();
        fs::write(all.join("removed-2"), "").unwrap();
        fs::write(all.join("a/b/f"), "").unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("f"), "").unwrap();
        std::os::unix::fs::symlink(&other, all.join("a/link")).unwrap();
        remove_all(&all).unwrap();
        assert!(!all.exists() && other.join("f").exists());
        remove_all(&all).unwrap();
    }

    #[test]
    fn no_depth_keeps_a_folder() {
        let folder = Folder::new();
        folder.deep_file(1_000, b"");
        let path = folder.path().to_owned();
        // Who goes down has no 64 bytes for each level.
        let small = std::thread::Builder::new().stack_size(64 << 10);
        small.spawn(move || remove_all(&path)).unwrap().join().unwrap().unwrap();
        assert!(!folder.path().exists());
    }
}
