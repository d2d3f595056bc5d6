use std::{fs, path::Path};

use orchestra_core::store::Revision;

use super::read::read;
use crate::durable::{OpenError, chunk::Chunk, engine::Engine, folder::Folder, log::Log, watermark::Watermark};

/// How many bytes of chunks are restored with one write.
const AT_ONCE: usize = 4 << 20;

/// Makes `folder` the store that `file` is a backup of. Nothing is left of it if that fails.
pub(in crate::durable) fn restore(file: &Path, folder: &Path) -> Result<Revision, OpenError> {
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
    Log::create(path)?;
    folder.declare()?;
    Ok(position.revision)
}
