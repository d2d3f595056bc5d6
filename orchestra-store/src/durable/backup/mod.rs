//! A store in one file: everything that is kept, as of one revision.
//!
//! ```text
//!   title, revision, oldest revision, checksum of these
//!   for each chunk: its length, its place, its records with their checksum
//!   the length of nothing, the number of chunks, a checksum of all before it
//! ```

mod read;
mod restore;
mod summed;

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use orchestra_core::store::{Revision, StoreError};

pub(super) use self::restore::restore;
use self::summed::Summed;
use super::{
    chunk,
    engine::{EngineError, Snapshot},
    folder,
};

const TITLE: &[u8] = b"orchestra durable store, backup 1\n";
/// Ends the chunks; none is so long.
const END: u64 = u64::MAX;

/// Why a backup cannot be made. There is no file then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is read of the store is not what was written: restore an older backup.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// The backup cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Io {
        /// The backup.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Writes a backup, durably, under its name only once it is whole.
pub(super) fn write(snapshot: &Snapshot, file: &Path) -> Result<Revision, BackupError> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    let failed = |source| BackupError::Io { file: file.to_owned(), source };
    let written = File::create(&new).map_err(failed).and_then(|out| {
        let revision = write_to(snapshot, out).map_err(|error| match error {
            EngineError::Io(source) => failed(source),
            EngineError::Corrupt(reason) => BackupError::Corrupt(reason),
        })?;
        fs::rename(&new, file).map_err(failed)?;
        folder::sync_folder(parent(file)).map_err(failed)?;
        Ok(revision)
    });
    if written.is_err() {
        // It may not be there.
        fs::remove_file(&new).unwrap_or_default();
    }
    written
}

fn write_to(snapshot: &Snapshot, file: File) -> Result<Revision, EngineError> {
    let position = snapshot.position()?;
    let mut out = Summed::new(BufWriter::new(file));
    out.write_all(TITLE)?;
    out.write_all(&position.revision.to_le_bytes())?;
    out.write_all(&position.oldest.to_le_bytes())?;
    out.write_all(&out.sum().to_le_bytes())?;
    let mut chunks: u64 = 0;
    snapshot.for_each(|place, bytes| {
        // What has changed on the disk must not get a place among what is taken for safe.
        if chunk::records(place, bytes).is_none() {
            return Err(EngineError::Corrupt(format!("the changes from revision {} on", place.0)));
        }
        chunks += 1;
        out.write_all(&(bytes.len() as u64).to_le_bytes())?;
        out.write_all(&place.0.to_le_bytes())?;
        out.write_all(&place.1.to_le_bytes())?;
        Ok(out.write_all(bytes)?)
    })?;
    out.write_all(&END.to_le_bytes())?;
    out.write_all(&chunks.to_le_bytes())?;
    out.write_all(&out.sum().to_le_bytes())?;
    out.inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(position.revision)
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
