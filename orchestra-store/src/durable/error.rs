use std::{io, path::PathBuf};

use orchestra_core::store::Revision;

/// Why a [`DurableStore`](super::DurableStore) cannot be opened or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another part of this one, has the folder open.
    #[error("folder {} is open already: a durable store has one process", folder.display())]
    Locked {
        /// The store's folder.
        folder: PathBuf,
    },
    /// The folder has other files than a store's, or lacks the file that tells a store's format. Nothing was touched.
    #[error("folder {} is not empty and is not a durable store's", folder.display())]
    NotAStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The store was written by a newer version of this crate. Nothing was touched.
    #[error("folder {} has format {found}, this version knows {known} and older", folder.display())]
    NewerFormat {
        /// The store's folder.
        folder: PathBuf,
        /// The format of the folder.
        found: u64,
        /// The newest format that is understood.
        known: u64,
    },
    /// Commits that were acknowledged are not there: the disk lost what it had said to be safe, or a file was replaced by
    /// an older one. Restore a backup, or go on without them by `accept_missing_writes` of the builder.
    #[error(
        "folder {} has lost acknowledged writes: revisions {} to {acknowledged} are missing; restore a backup into an empty folder \
         with DurableStore::restore, or go on without them with accept_missing_writes",
        folder.display(),
        recovered + 1
    )]
    MissingWrites {
        /// The store's folder.
        folder: PathBuf,
        /// The newest revision that is there.
        recovered: Revision,
        /// The newest revision that was acknowledged.
        acknowledged: Revision,
    },
    /// What is read is not what was written. Restore a backup, another one if this is of a backup.
    #[error(
        "{} is corrupt: {reason}; restore a backup that is whole into an empty folder with DurableStore::restore",
        place.display()
    )]
    Corrupt {
        /// The file or folder.
        place: PathBuf,
        /// What is wrong, with the revision or key where it is known.
        reason: String,
    },
    /// The operating system refuses.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.into(), source }
    }

    pub(super) fn corrupt(place: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Corrupt { place: place.into(), reason: reason.into() }
    }
}
