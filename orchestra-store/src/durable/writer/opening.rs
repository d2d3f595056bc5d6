use std::{fs, path::Path};

use orchestra_core::store::Revision;

use super::{Slot, Writer};
use crate::{
    durable::{
        engine::{self, Engine},
        error::OpenError,
        folder::{Folder, VERSION},
        load::{Loaded, load},
        log::{self, Log},
        sweep::Sweep,
        watermark::{Mark, Watermark},
    },
    mvcc::Retention,
};

impl Writer {
    /// Opens a folder, which is made a store's if it is nobody's yet.
    pub(in crate::durable) fn open(
        path: &Path,
        retention: Retention,
        now: i64,
        accept_missing: bool,
    ) -> Result<(Self, Loaded), OpenError> {
        let folder = Folder::lock(path)?;
        let format = folder.format()?;
        if format != Some(VERSION) {
            if format.is_none() {
                Watermark::create(path, 0)?;
            }
            Log::create(path)?;
            folder.declare()?;
        }
        let mut watermark = Watermark::open(path)?;
        let mark = watermark.mark();
        let file = path.join(engine::NAME);
        let failed = |error| Engine::error_of(path, error);
        if !fs::exists(&file).map_err(OpenError::io(&file))? {
            if mark.acknowledged > 0 {
                return Err(OpenError::corrupt(file, "it is missing"));
            }
            Engine::create(path).map_err(failed)?;
        }
        let engine = Engine::open_in(path).map_err(failed)?;
        let snapshot = engine.snapshot().map_err(failed)?;
        let stored = snapshot.position().map_err(failed)?.revision;
        let (mut log, entries) = Log::open(path, stored)?;
        let loaded = load(&snapshot, &entries, retention, now).map_err(failed)?;
        let recovered = loaded.state.revision();
        if recovered < mark.acknowledged && !accept_missing {
            return Err(OpenError::MissingWrites {
                folder: path.to_owned(),
                recovered,
                acknowledged: mark.acknowledged,
            });
        }
        tell_recovery(path, mark, recovered);
        if entries.is_empty() {
            log.clear().map_err(OpenError::io(path.join(log::NAME)))?;
        }
        let pending = entries.into_iter().flat_map(|entry| entry.chunks).collect();
        watermark.begin(recovered).map_err(OpenError::io(path))?;
        let sweep = Sweep::new(loaded.stored, loaded.kept);
        Ok((Self { engine: Slot::Open(engine), folder, watermark, log, pending, stored, sweep }, loaded))
    }
}

fn tell_recovery(folder: &Path, mark: Mark, recovered: Revision) {
    let folder = folder.display();
    if recovered < mark.acknowledged {
        let (from, to) = (recovered + 1, mark.acknowledged);
        tracing::error!(%folder, from, to, "acknowledged writes are missing, and that is accepted");
    }
    if mark.closed {
        return;
    }
    if recovered < mark.intended {
        let (from, to) = (recovered.max(mark.acknowledged) + 1, mark.intended);
        tracing::warn!(%folder, recovered, from, to, "was not closed; revisions that were being written are dropped");
    } else {
        tracing::warn!(%folder, recovered, "was not closed; nothing is missing");
    }
}
