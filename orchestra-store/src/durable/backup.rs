//! A store in one file: everything that is kept, as of one revision.
//!
//! ```text
//!   title, revision, oldest revision, checksum of these
//!   for each chunk: its length, its place, its records with their checksum
//!   the length of nothing, the number of chunks, a checksum of all before it
//! ```

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use orchestra_core::store::{Revision, StoreError};

use super::{
    OpenError,
    chunk::{self, Chunk},
    engine::{Engine, EngineError, Position, Snapshot},
    folder::{self, Folder},
    watermark::Watermark,
};

const TITLE: &[u8] = b"orchestra durable store, backup 1\n";
/// Ends the chunks; none is so long.
const END: u64 = u64::MAX;
/// How many bytes of chunks are restored with one write.
const AT_ONCE: usize = 4 << 20;

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

/// Makes `folder` the store that `file` is a backup of. Nothing is left of it if that fails.
pub(super) fn restore(file: &Path, folder: &Path) -> Result<Revision, OpenError> {
    // Read to its end before anything is made.
    read(file, |_, _| Ok(()))?;
    let made = !fs::exists(folder).map_err(OpenError::io(folder))?;
    let locked = Folder::lock(folder)?;
    locked.require_empty()?;
    restore_into(file, &locked).inspect_err(|_| {
        // What cannot be removed is no store either: it does not tell a format.
        locked.clear().unwrap_or_default();
        if made {
            fs::remove_dir_all(folder).unwrap_or_default();
        }
    })
}

fn restore_into(file: &Path, folder: &Folder) -> Result<Revision, OpenError> {
    let path = folder.path();
    let failed = |error| Engine::error_of(path, error);
    let engine = Engine::create(path).and_then(|()| Engine::open_in(path)).map_err(failed)?;
    let mut batch: Vec<Chunk> = Vec::new();
    let mut size = 0;
    let write = |position, batch: &[Chunk]| {
        engine.write(position, |chunks| batch.iter().try_for_each(|chunk| chunks.put(chunk))).map_err(failed)
    };
    let position = read(file, |position, chunk| {
        size += chunk.bytes.len();
        batch.push(chunk);
        if size < AT_ONCE {
            return Ok(());
        }
        size = 0;
        write(position, &std::mem::take(&mut batch))
    })?;
    write(position, &batch)?;
    engine.close().map_err(failed)?;
    Watermark::create(path, position.revision)?;
    folder.declare()?;
    Ok(position.revision)
}

/// Shows the chunks of a backup, each of which is whole. That all are shown is known with the result only.
fn read(file: &Path, mut show: impl FnMut(Position, Chunk) -> Result<(), OpenError>) -> Result<Position, OpenError> {
    let damaged = |reason: &str| OpenError::corrupt(file, reason);
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
        _ => OpenError::io(file)(error),
    };
    let opened = File::open(file).map_err(OpenError::io(file))?;
    let length = opened.metadata().map_err(OpenError::io(file))?.len();
    let mut input = Summed::new(BufReader::new(opened));
    if input.take::<{ TITLE.len() }>().map_err(cut)? != TITLE {
        return Err(damaged("it is not a backup of a durable store, or of a version that is not known"));
    }
    let position = Position { revision: input.number().map_err(cut)?, oldest: input.number().map_err(cut)? };
    if input.sum().to_le_bytes() != input.take::<4>().map_err(cut)? {
        return Err(damaged("its beginning is damaged"));
    }
    let mut chunks: u64 = 0;
    loop {
        let size = input.number().map_err(cut)?;
        if size == END {
            break;
        }
        if size > length {
            return Err(damaged("the length of a part is damaged"));
        }
        let place = (input.number().map_err(cut)?, u32::from_le_bytes(input.take().map_err(cut)?));
        let mut bytes = vec![0; size as usize];
        input.read_exact(&mut bytes).map_err(cut)?;
        if chunk::records(place, &bytes).is_none() {
            return Err(damaged(&format!("the changes from revision {} on are damaged", place.0)));
        }
        chunks += 1;
        show(position, Chunk { place, bytes })?;
    }
    let told = input.number().map_err(cut)?;
    if told != chunks || input.sum().to_le_bytes() != input.take::<4>().map_err(cut)? {
        return Err(damaged("its end is damaged, or something before it is missing"));
    }
    match input.inner.read(&mut [0]).map_err(cut)? {
        0 => Ok(position),
        _ => Err(damaged("something follows its end")),
    }
}

/// A checksum goes along with what is read or written.
struct Summed<I> {
    inner: I,
    hasher: crc32fast::Hasher,
}

impl<I> Summed<I> {
    fn new(inner: I) -> Self {
        Self { inner, hasher: crc32fast::Hasher::new() }
    }

    fn sum(&self) -> u32 {
        self.hasher.clone().finalize()
    }
}

impl<W: Write> Summed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Summed<R> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }
}
