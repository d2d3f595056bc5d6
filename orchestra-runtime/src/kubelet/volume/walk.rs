//! Goes through what pods have in their volumes, whatever they do there meanwhile.

use std::{
    ffi::{CStr, OsStr},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat2};

/// From how many bytes on a path begins anew: the kernel takes 4096, and a folder may lie deeper than that.
const LONG: usize = 2048;

/// A folder that is still to be read.
struct Pending {
    base: Arc<OwnedFd>,
    /// From `base`, without symbolic links.
    path: PathBuf,
}

/// Calls `visit` with all that lies below a folder: the folder that it is in, and its name there. What it answers with true is a folder that
/// is gone into too.
///
/// What fails is passed over, so that a pod cannot hide the rest; the first failure is returned in the end. That something went away is none.
/// No folder is open while others are read, but for one each [`LONG`] bytes of a deep path.
pub(super) fn below(root: OwnedFd, mut visit: impl FnMut(BorrowedFd<'_>, &CStr) -> io::Result<bool>) -> io::Result<()> {
    let mut first = Ok(());
    let mut note = |error: io::Error| {
        if first.is_ok() && error.kind() != io::ErrorKind::NotFound {
            first = Err(error);
        }
    };
    let mut pending = vec![Pending { base: Arc::new(root), path: PathBuf::from(".") }];
    while let Some(folder) = pending.pop() {
        if let Err(error) = folder.read(&mut visit, &mut pending, &mut note) {
            note(error);
        }
    }
    first
}

impl Pending {
    fn read(
        self,
        visit: &mut impl FnMut(BorrowedFd<'_>, &CStr) -> io::Result<bool>,
        pending: &mut Vec<Self>,
        note: &mut impl FnMut(io::Error),
    ) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = Arc::new(openat2(&*self.base, &self.path, flags, Mode::empty(), resolve)?);
        let is_long = self.path.as_os_str().len() > LONG;
        for entry in Dir::read_from(&*open)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            match visit(open.as_fd(), name) {
                Ok(false) => {}
                Ok(true) => {
                    let name = Path::new(OsStr::from_bytes(name.to_bytes()));
                    let (base, path) =
                        if is_long { (&open, name.to_owned()) } else { (&self.base, self.path.join(name)) };
                    pending.push(Self { base: Arc::clone(base), path });
                }
                Err(error) => note(error),
            }
        }
        Ok(())
    }
}
