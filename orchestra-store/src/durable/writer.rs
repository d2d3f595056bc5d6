//! The one who writes to a store's folder.

use std::{fs, path::Path, time::Duration};

use orchestra_core::store::{Revision, StoreError};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::{
    chunk::Chunk,
    engine::{self, Engine, EngineError, Position, Snapshot},
    error::OpenError,
    folder::Folder,
    load::{Loaded, load},
    sweep::Sweep,
    watermark::{Mark, Watermark},
};
use crate::mvcc::{Retention, State};

/// How long commits are refused at least after a write that failed for want of room.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    folder: Folder,
    watermark: Watermark,
    sweep: Sweep,
    engine: Slot,
}

enum Slot {
    Open(Engine),
    /// The last write failed for want of room: it is tried again from `retry` on. The engine is open if what it holds is known
    /// to be what was acknowledged.
    Full {
        engine: Option<Engine>,
        retry: Instant,
        error: StoreError,
    },
    /// What the file holds is not known, and cannot be while this process has it open.
    Broken(StoreError),
}

impl Writer {
    /// Opens a folder, which is made a store's if it is nobody's yet.
    pub(super) fn open(
        path: &Path,
        retention: Retention,
        now: i64,
        accept_missing: bool,
    ) -> Result<(Self, Loaded), OpenError> {
        let folder = Folder::lock(path)?;
        if !folder.is_store()? {
            Watermark::create(path, 0)?;
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
        let loaded = engine.snapshot().and_then(|snapshot| load(&snapshot, retention, now)).map_err(failed)?;
        let recovered = loaded.state.revision();
        if recovered < mark.acknowledged && !accept_missing {
            return Err(OpenError::MissingWrites {
                folder: path.to_owned(),
                recovered,
                acknowledged: mark.acknowledged,
            });
        }
        tell_recovery(path, mark, recovered);
        watermark.begin(recovered).map_err(OpenError::io(path))?;
        let sweep = Sweep::new(loaded.stored, loaded.kept);
        Ok((Self { folder, watermark, sweep, engine: Slot::Open(engine) }, loaded))
    }

    /// Makes `chunks`, and with them `position`, durable. If that fails, nothing of it is, nor will be.
    pub(super) fn write(
        &mut self,
        position: Position,
        chunks: &[Chunk],
        state: &RwLock<State>,
    ) -> Result<(), StoreError> {
        let begun = Instant::now();
        let acknowledged = {
            let state = state.read();
            Position { revision: state.revision(), oldest: state.oldest() }
        };
        let engine = self.engine(acknowledged)?;
        let mut sweep = self.sweep.clone();
        note(self.watermark.intend(position.revision));
        let written = engine.write(position, |file| {
            chunks.iter().try_for_each(|chunk| file.put(chunk))?;
            let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
            sweep.step(file, bytes as u64, &state.read())
        });
        match written {
            Ok(()) => {
                self.engine = Slot::Open(engine);
                self.sweep = sweep;
                note(self.watermark.acknowledge(position.revision));
                Ok(())
            }
            Err(error) => Err(self.fail(engine, &error, acknowledged, begun)),
        }
    }

    /// The file as it is.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        match &self.engine {
            Slot::Open(engine) | Slot::Full { engine: Some(engine), .. } => {
                engine.snapshot().map_err(|error| self.unavailable("read", &error))
            }
            Slot::Full { error, .. } | Slot::Broken(error) => Err(error.clone()),
        }
    }

    /// Takes the engine out, if it may write.
    fn engine(&mut self, acknowledged: Position) -> Result<Engine, StoreError> {
        match &self.engine {
            Slot::Full { retry, error, .. } if Instant::now() < *retry => return Err(error.clone()),
            Slot::Broken(error) => return Err(error.clone()),
            Slot::Open(_) | Slot::Full { .. } => {}
        }
        let interrupted = StoreError::Unavailable("a write was interrupted: open the store again".to_owned());
        match std::mem::replace(&mut self.engine, Slot::Broken(interrupted)) {
            Slot::Open(engine) | Slot::Full { engine: Some(engine), .. } => Ok(engine),
            Slot::Full { .. } | Slot::Broken(_) => {
                let begun = Instant::now();
                self.reopen(acknowledged).map_err(|error| {
                    let told = self.unavailable("open", &error);
                    self.engine = after(&error, None, begun, told.clone());
                    told
                })
            }
        }
    }

    /// After a failed write the engine takes no more, and what the file holds may be the state before it or after.
    fn fail(&mut self, engine: Engine, error: &EngineError, acknowledged: Position, begun: Instant) -> StoreError {
        let told = self.unavailable("write", error);
        tracing::error!(%error, folder = %self.folder.path().display(), "a write failed: nothing of it is kept");
        // What it has to say of a file that it could not write is known.
        engine.close().unwrap_or_default();
        let engine =
            if error.is_full() { self.reopen(acknowledged) } else { Err(EngineError::Corrupt(error.to_string())) };
        self.engine = match engine {
            Ok(engine) => after(error, Some(engine), begun, told.clone()),
            Err(_) => after(error, None, begun, told.clone()),
        };
        told
    }

    /// Opens the file, and takes back what was not acknowledged.
    fn reopen(&mut self, acknowledged: Position) -> Result<Engine, EngineError> {
        let engine = Engine::open_in(self.folder.path())?;
        let found = engine.snapshot()?.position()?;
        if found.revision < acknowledged.revision {
            return Err(EngineError::Corrupt(format!("revisions after {} are gone", found.revision)));
        }
        if found != acknowledged {
            engine.write(acknowledged, |file| file.remove_after(acknowledged.revision))?;
        }
        Ok(engine)
    }

    fn unavailable(&self, verb: &str, error: &EngineError) -> StoreError {
        let folder = self.folder.path().display();
        let hint = if error.is_full() { "commits are tried again" } else { "open the store again" };
        StoreError::Unavailable(format!("cannot {verb} {folder}: {error}; {hint}"))
    }

    /// Closes the files, at the acknowledged `revision`.
    pub(super) fn close(mut self, revision: Revision) {
        let closed = match self.engine {
            Slot::Open(engine) => engine.close(),
            Slot::Full { engine, .. } => engine.map_or(Ok(()), Engine::close),
            Slot::Broken(_) => return,
        };
        if let Err(error) = closed {
            tracing::error!(%error, folder = %self.folder.path().display(), "the store was not closed well");
            return;
        }
        note(self.watermark.close(revision));
    }
}

/// What follows a failed attempt that began at `begun`.
fn after(error: &EngineError, engine: Option<Engine>, begun: Instant, told: StoreError) -> Slot {
    if !error.is_full() {
        return Slot::Broken(told);
    }
    // Trying is not cheap where there is much data: most of the time is to be left to reads.
    let pause = (2 * begun.elapsed()).max(LEAST_PAUSE);
    Slot::Full { engine, retry: Instant::now() + pause, error: told }
}

/// The witness is of the second line: what it attests is durable without it.
fn note(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "cannot note the acknowledged revision");
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
