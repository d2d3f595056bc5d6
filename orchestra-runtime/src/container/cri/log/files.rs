//! What is done to log files beside reading them.

use std::{ffi::OsString, fs, io, path::Path};

/// Does what may wait for a disk where nobody else waits.
pub(in crate::container::cri) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Makes the folder that `file` is to lie in.
pub(in crate::container::cri) fn make_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Removes a container's log with those that were moved away when it grew (`0.log.20200101-000000`, `.gz`), and the folder if that is empty
/// then.
pub(in crate::container::cri) fn remove_log(log: &Path) {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { return };
    let mut prefix = OsString::from(name);
    prefix.push(".");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let other = entry.file_name();
        if other == name || other.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            // Who removes it first does not matter.
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// Removes a folder if nothing is in it but empty folders.
pub(in crate::container::cri) fn remove_empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}
