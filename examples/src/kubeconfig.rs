//! Writes kubeconfig files.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

/// Puts `kubeconfig` at `path`, in the place of what is there. Readers see all of it or what was there before; nobody but the owner
/// may read it, as kubectl and k3s keep it.
pub fn write(path: &Path, kubeconfig: &str) -> io::Result<()> {
    let draft = draft(path)?;
    let written = write_new(&draft, kubeconfig).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It may not be there.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// A file beside `path`, since only within one folder a file takes another's place in one step.
fn draft(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut draft = name.to_owned();
    draft.push(format!(".{}", process::id()));
    Ok(path.with_file_name(draft))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
