//! A group's way to the disk: to the log if there is room in it, else to the engine, with all that is in the log.

use orchestra_core::store::{Revision, StoreError};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::{Slot, Writer, note, reached};
use crate::{
    durable::{
        chunk::Chunk,
        engine::{EngineError, Position},
    },
    mvcc::State,
};

impl Writer {
    /// Makes the chunks durable by the log; `false` if it is for the engine to do.
    pub(super) fn log(
        &mut self,
        acknowledged: Position,
        position: Position,
        chunks: &[Chunk],
    ) -> Result<bool, StoreError> {
        // Where there was no room it is the engine that tells whether there is again.
        if chunks.is_empty() || !matches!(self.engine, Slot::Open(_)) {
            return Ok(false);
        }
        note(self.watermark.intend(position.revision));
        self.log.append(acknowledged.revision, position, chunks).map_err(|error| {
            let told = self.refusal("write to the log of", &EngineError::Corrupt(error.to_string()));
            tracing::error!(%error, folder = %self.folder.path().display(), "a write to the log failed");
            self.engine = Slot::Broken(told.clone());
            told
        })
    }

    /// Has the engine write what is pending, and `chunks`.
    pub(super) fn store(
        &mut self,
        acknowledged: Position,
        position: Position,
        chunks: &[Chunk],
        state: &RwLock<State>,
    ) -> Result<(), StoreError> {
        let begun = Instant::now();
        let engine = self.engine(acknowledged)?;
        let mut sweep = self.sweep.clone();
        note(self.watermark.intend(position.revision));
        let written = engine.write(position, |file| {
            let mut bytes = 0;
            for chunk in self.pending.iter().chain(chunks) {
                file.put(chunk)?;
                bytes += chunk.bytes.len();
            }
            sweep.step(file, bytes as u64, &state.read())
        });
        match written {
            Ok(()) => {
                self.engine = Slot::Open(engine);
                self.sweep = sweep;
                self.has_stored(position.revision);
                Ok(())
            }
            Err(error) => Err(self.fail(engine, &error, acknowledged, begun)),
        }
    }

    /// Notes that the engine has everything up to `revision`, and nothing is pending.
    pub(super) fn has_stored(&mut self, revision: Revision) {
        self.pending.clear();
        self.log.restart();
        self.stored = revision;
    }

    /// Has the engine write what is pending.
    pub(super) fn settle(&mut self, state: &RwLock<State>) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let acknowledged = reached(state);
        self.store(acknowledged, acknowledged, &[], state)
    }
}
