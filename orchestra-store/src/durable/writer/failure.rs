//! What becomes of a writer whose writes fail.

use std::time::Duration;

use orchestra_core::store::StoreError;
use tokio::time::Instant;

use super::{Slot, Writer};
use crate::durable::engine::{Engine, EngineError, Position};

/// How long commits are refused at least after a write that failed for want of room.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

impl Writer {
    /// Takes the engine out, if it may write.
    pub(super) fn engine(&mut self, acknowledged: Position) -> Result<Engine, StoreError> {
        self.join(acknowledged);
        match &self.engine {
            Slot::Full { retry, error, .. } if Instant::now() < *retry => return Err(error.clone()),
            Slot::Broken(error) => return Err(error.clone()),
            Slot::Open(_) | Slot::Storing(_) | Slot::Full { .. } => {}
        }
        match std::mem::replace(&mut self.engine, Slot::interrupted()) {
            Slot::Open(engine) | Slot::Full { engine: Some(engine), .. } => Ok(engine),
            Slot::Full { .. } | Slot::Storing(_) | Slot::Broken(_) => {
                let begun = Instant::now();
                self.reopen(acknowledged).map_err(|error| {
                    let told = self.refusal("open", &error);
                    self.engine = after(&error, None, begun, told.clone());
                    told
                })
            }
        }
    }

    /// After a failed write the engine takes no more, and what the file holds may be the state before it or after.
    pub(super) fn fail(
        &mut self,
        engine: Engine,
        error: &EngineError,
        acknowledged: Position,
        begun: Instant,
    ) -> StoreError {
        let told = self.refusal("write", error);
        tracing::error!(%error, folder = %self.folder.path().display(), "a write of the engine failed");
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
        if found.revision < self.stored {
            return Err(EngineError::Corrupt(format!("revisions after {} are gone", found.revision)));
        }
        // What is older than the state knows of is nothing to take back, and there may be no room to write it.
        if found.revision > acknowledged.revision || found.oldest > acknowledged.oldest {
            // The write was all of it, so that what was pending is in it too.
            engine.write(acknowledged, |file| file.remove_after(acknowledged.revision))?;
            self.has_stored(acknowledged.revision);
        } else if found.revision > self.stored {
            self.pending.retain(|chunk| chunk.place.0 > found.revision);
            self.stored = found.revision;
        }
        Ok(engine)
    }

    pub(super) fn refusal(&self, verb: &str, error: &EngineError) -> StoreError {
        let folder = self.folder.path().display();
        match error.is_full() {
            true => StoreError::NoSpace(format!("cannot {verb} {folder}: {error}")),
            false => StoreError::Unavailable(format!("cannot {verb} {folder}: {error}; open the store again")),
        }
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
