//! The engine: redb, with what it must not do to us kept inside.

mod chunks;
mod error;
mod snapshot;

use std::{fs, path::Path};

use orchestra_core::store::Revision;
use redb::{Database, ReadableDatabase, TableDefinition};

use self::error::guarded;
pub(super) use self::{chunks::Chunks, error::EngineError, snapshot::Snapshot};
use super::{error::OpenError, folder::sync_folder, record::Place};

const CHUNKS: TableDefinition<'static, Place, &[u8]> = TableDefinition::new("chunks");
const POSITION: TableDefinition<'static, (), (Revision, Revision)> = TableDefinition::new("position");

/// Reads are from memory, so that only what is being written, and swept, is worth caching.
const CACHE: usize = 16 << 20;

/// The name of the file in a store's folder.
pub(super) const NAME: &str = "data.redb";
/// The name of a file that may not be whole yet.
pub(super) const BEING_MADE: &str = "data.new";

/// What the chunks reach to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The newest revision.
    pub(super) revision: Revision,
    /// The oldest revision whose state can be read.
    pub(super) oldest: Revision,
}

pub(super) struct Engine {
    database: Database,
}

impl Engine {
    /// Opens the file of a folder.
    pub(super) fn open_in(folder: &Path) -> Result<Self, EngineError> {
        Self::open(&folder.join(NAME))
    }

    /// What an error with the file of a folder means to who opens the store.
    pub(super) fn error_of(folder: &Path, error: EngineError) -> OpenError {
        let file = folder.join(NAME);
        match error {
            EngineError::Io(error) => OpenError::io(file)(error),
            EngineError::Corrupt(reason) => OpenError::corrupt(file, reason),
        }
    }

    /// Opens a file, or makes it. All of it is read and its checksums compared: an engine that trusts what it reads is quick
    /// to open, but answers a flipped bit with a panic, or with wrong data.
    fn open(path: &Path) -> Result<Self, EngineError> {
        guarded(|| {
            let database = Database::builder().set_cache_size(CACHE).set_check_integrity_on_open(true).create(path)?;
            Ok(Self { database })
        })
    }

    /// Makes an empty file, durably.
    pub(super) fn create(folder: &Path) -> Result<(), EngineError> {
        let new = folder.join(BEING_MADE);
        let create = || {
            if new.exists() {
                fs::remove_file(&new)?;
            }
            Self::open(&new)?.close()?;
            fs::rename(&new, folder.join(NAME))?;
            Ok(sync_folder(folder)?)
        };
        create()
    }

    /// Makes what `change` does, and that it reaches to `position`, durable; or nothing. The history may come to begin later.
    pub(super) fn write<T>(
        &self,
        position: Position,
        change: impl FnOnce(&mut Chunks<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        guarded(|| {
            let transaction = self.database.begin_write()?;
            let mut chunks = Chunks { table: transaction.open_table(CHUNKS)?, position };
            let result = change(&mut chunks)?;
            let Position { revision, oldest } = chunks.position;
            drop(chunks);
            transaction.open_table(POSITION)?.insert((), (revision, oldest))?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// All that is there now, whatever is written later.
    pub(super) fn snapshot(&self) -> Result<Snapshot, EngineError> {
        guarded(|| Ok(Snapshot(self.database.begin_read()?)))
    }

    /// Closes the file. An engine that is only dropped would do the same, but with a panic if it finds it damaged.
    pub(super) fn close(self) -> Result<(), EngineError> {
        guarded(|| {
            drop(self.database);
            Ok(())
        })
    }
}
