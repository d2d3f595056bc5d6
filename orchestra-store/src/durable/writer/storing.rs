//! A group's way to the disk: to the log if there is room in it, else to the engine, with all that is in the log.

use std::sync::Arc;

use orchestra_core::store::{Revision, StoreError};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::{
    Slot, Writer,
    background::{self, Load, Stored, Storing},
    note, reached,
};
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
        state: &Arc<RwLock<State>>,
    ) -> Result<bool, StoreError> {
        if matches!(&self.engine, Slot::Storing(storing) if storing.is_done()) {
            self.join(acknowledged);
        }
        // Where there was no room it is the engine that tells whether there is again.
        if chunks.is_empty() || !matches!(self.engine, Slot::Open(_) | Slot::Storing(_)) {
            return Ok(false);
        }
        let has_room =
            self.log.has_room(chunks) || (self.log.would_have_room(chunks) && self.hand_over(acknowledged, state));
        if !has_room {
            return Ok(false);
        }
        note(self.watermark.intend(position.revision));
        match self.log.append(acknowledged.revision, position, chunks) {
            Ok(()) => Ok(true),
            Err(error) => {
                let told = self.refusal("write to the log of", &EngineError::Corrupt(error.to_string()));
                tracing::error!(%error, folder = %self.folder.path().display(), "a write to the log failed");
                self.engine = Slot::Broken(told.clone());
                Err(told)
            }
        }
    }

    /// Has the engine write what is pending, while the log goes on in its other half. `false` if that cannot be, or if the state is to
    /// stand still for the sweep.
    fn hand_over(&mut self, acknowledged: Position, state: &Arc<RwLock<State>>) -> bool {
        self.join(acknowledged);
        if !self.sweep.keeps_up() || !matches!(self.engine, Slot::Open(_)) || !self.log.switch() {
            return false;
        }
        let Slot::Open(engine) = std::mem::replace(&mut self.engine, Slot::interrupted()) else { return false };
        let (chunks, sweep, state) = (std::mem::take(&mut self.pending), self.sweep.clone(), Arc::clone(state));
        self.engine = Slot::Storing(Storing::start(Load { engine, chunks, position: acknowledged, sweep, state }));
        true
    }

    /// Takes the engine back from what it was handed, if it was.
    pub(super) fn join(&mut self, acknowledged: Position) {
        let begun = Instant::now();
        let storing = match std::mem::replace(&mut self.engine, Slot::interrupted()) {
            Slot::Storing(storing) => storing,
            other => return self.engine = other,
        };
        let Some(Stored { engine, chunks, position, outcome }) = storing.join() else { return };
        match outcome {
            Ok(sweep) => {
                self.engine = Slot::Open(engine);
                self.sweep = sweep;
                self.stored = position.revision;
                self.log.other_is_stored();
            }
            Err(error) => {
                // All of it is in the log still.
                self.pending.splice(..0, chunks);
                self.fail(engine, &error, acknowledged, begun);
            }
        }
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
        note(self.watermark.intend(position.revision));
        match background::write(&engine, position, (&self.pending, chunks), self.sweep.clone(), state) {
            Ok(sweep) => {
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
        let acknowledged = reached(state);
        self.join(acknowledged);
        if self.pending.is_empty() {
            return Ok(());
        }
        self.store(acknowledged, acknowledged, &[], state)
    }
}
