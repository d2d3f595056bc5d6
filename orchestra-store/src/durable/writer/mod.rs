//! The one who writes to a store's folder.

mod failure;
mod opening;

use orchestra_core::store::{Revision, StoreError};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::{
    chunk::Chunk,
    engine::{Engine, Position, Snapshot},
    folder::Folder,
    sweep::Sweep,
    watermark::Watermark,
};
use crate::mvcc::State;

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
                engine.snapshot().map_err(|error| self.refusal("read", &error))
            }
            Slot::Full { error, .. } | Slot::Broken(error) => Err(error.clone()),
        }
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

/// The witness is of the second line: what it attests is durable without it.
fn note(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "cannot note the acknowledged revision");
    }
}
