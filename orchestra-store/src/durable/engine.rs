//! The engine: redb, with what it must not do to us kept inside.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use orchestra_core::store::Revision;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition};

use super::{chunk::Chunk, error::OpenError, folder::sync_folder, record::Place};

const CHUNKS: TableDefinition<'static, Place, &[u8]> = TableDefinition::new("chunks");
const POSITION: TableDefinition<'static, (), (Revision, Revision)> = TableDefinition::new("position");

/// Reads are from memory, so that only what is being written, and swept, is worth caching.
const CACHE: usize = 16 << 20;

/// The name of the file in a store's folder.
pub(super) const NAME: &str = "data.redb";
/// The name of a file that may not be whole yet.
pub(super) const BEING_MADE: &str = "data.new";

/// What the engine said.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Corrupt(String),
}

impl EngineError {
    /// Whether there is no room on the disk, so that the same may go well later.
    pub(super) fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}

impl<E: Into<redb::Error>> From<E> for EngineError {
    fn from(error: E) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.into() {
            // A file that is too short, or not the engine's.
            redb::Error::Io(error) if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
                Self::Corrupt(error.to_string())
            }
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::PreviousIo => Self::Io(io::Error::other("a former operation failed")),
            error => Self::Corrupt(error.to_string()),
        }
    }
}

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

    /// Makes what `change` does, and that it reaches to `position`, durable; or nothing.
    pub(super) fn write<T>(
        &self,
        position: Position,
        change: impl FnOnce(&mut Chunks<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        guarded(|| {
            let transaction = self.database.begin_write()?;
            let result = change(&mut Chunks(transaction.open_table(CHUNKS)?))?;
            transaction.open_table(POSITION)?.insert((), (position.revision, position.oldest))?;
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

/// The chunks within a write.
pub(super) struct Chunks<'a>(Table<'a, Place, &'static [u8]>);

impl Chunks<'_> {
    pub(super) fn put(&mut self, chunk: &Chunk) -> Result<(), EngineError> {
        self.0.insert(chunk.place, &chunk.bytes[..])?;
        Ok(())
    }

    pub(super) fn remove(&mut self, place: Place) -> Result<(), EngineError> {
        self.0.remove(place)?;
        Ok(())
    }

    /// Removes every chunk that begins after `revision`.
    pub(super) fn remove_after(&mut self, revision: Revision) -> Result<(), EngineError> {
        self.0.retain_in((revision + 1, 0).., |_, _| false)?;
        Ok(())
    }

    /// The first chunks from `start` on, until they have `bytes`.
    pub(super) fn read(&self, start: Place, bytes: usize) -> Result<Vec<Chunk>, EngineError> {
        let (mut chunks, mut size) = (Vec::new(), 0);
        for row in self.0.range(start..)? {
            if size >= bytes {
                break;
            }
            let (place, value) = row?;
            size += value.value().len();
            chunks.push(Chunk { place: place.value(), bytes: value.value().to_vec() });
        }
        Ok(chunks)
    }
}

/// The file as of some write.
pub(super) struct Snapshot(ReadTransaction);

impl Snapshot {
    pub(super) fn position(&self) -> Result<Position, EngineError> {
        guarded(|| {
            let table = match self.0.open_table(POSITION) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Position::default()),
                table => table?,
            };
            let Some(row) = table.get(())? else { return Err(EngineError::Corrupt("it has no position".to_owned())) };
            let (revision, oldest) = row.value();
            Ok(Position { revision, oldest })
        })
    }

    /// Shows every chunk, in the order of places.
    pub(super) fn for_each<E: From<EngineError>>(
        &self,
        mut show: impl FnMut(Place, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let table = match guarded(|| Ok(self.0.open_table(CHUNKS))) {
            Ok(Err(redb::TableError::TableDoesNotExist(_))) => return Ok(()),
            table => table?.map_err(EngineError::from)?,
        };
        let mut rows = guarded(|| Ok(table.iter()?))?;
        while let Some((place, value)) = guarded(|| Ok(rows.next().transpose()?))? {
            show(place.value(), value.value())?;
        }
        Ok(())
    }
}

/// A panic of the engine is an error: it panics on some of the damage that a file can have.
fn guarded<T>(operation: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(EngineError::Corrupt(format!("the engine panicked: {}", words.unwrap_or("without a word"))))
    })
}
