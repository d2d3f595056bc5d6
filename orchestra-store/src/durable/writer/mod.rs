//! The one who writes to a store's folder.

mod background;
mod failure;
mod opening;
mod storing;

use std::sync::Arc;

use orchestra_core::store::{Revision, StoreError};
use parking_lot::RwLock;
use tokio::time::Instant;

use self::background::Storing;
use super::{
    chunk::Chunk,
    engine::{Engine, Position, Snapshot},
    folder::Folder,
    log::Log,
    sweep::Sweep,
    watermark::Watermark,
};
use crate::mvcc::State;

pub(super) struct Writer {
    /// Before the folder, which is unlocked when it is dropped.
    engine: Slot,
    folder: Folder,
    watermark: Watermark,
    log: Log,
    /// What is durable by the log alone, and handed to nobody yet.
    pending: Vec<Chunk>,
    /// The newest revision that the engine has.
    stored: Revision,
    sweep: Sweep,
}

enum Slot {
    Open(Engine),
    /// It writes what was pending.
    Storing(Storing),
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

impl Slot {
    /// While something is done that may panic.
    fn interrupted() -> Self {
        Self::Broken(StoreError::Unavailable("a write was interrupted: open the store again".to_owned()))
    }
}

impl Writer {
    /// Makes `chunks`, and with them `position`, durable. If that fails, nothing of it is, nor will be.
    pub(super) fn write(
        &mut self,
        position: Position,
        chunks: Vec<Chunk>,
        state: &Arc<RwLock<State>>,
    ) -> Result<(), StoreError> {
        let acknowledged = reached(state);
        if self.log(acknowledged, position, &chunks, state)? {
            self.pending.extend(chunks);
        } else {
            self.store(acknowledged, position, &chunks, state)?;
        }
        note(self.watermark.acknowledge(position.revision));
        Ok(())
    }

    /// The file as it is, with everything that is in `state`.
    pub(super) fn snapshot(&mut self, state: &RwLock<State>) -> Result<Snapshot, StoreError> {
        self.settle(state)?;
        match &self.engine {
            Slot::Open(engine) | Slot::Full { engine: Some(engine), .. } => {
                engine.snapshot().map_err(|error| self.refusal("read", &error))
            }
            Slot::Full { error, .. } | Slot::Broken(error) => Err(error.clone()),
            // It was waited for.
            Slot::Storing(_) => Err(StoreError::Unavailable("the engine is busy".to_owned())),
        }
    }

    /// Closes the files, with everything that is in `state`.
    pub(super) fn close(mut self, state: &RwLock<State>) {
        if let Err(error) = self.settle(state) {
            tracing::warn!(%error, "the log is not empty");
        }
        let closed = match self.engine {
            Slot::Open(engine) => engine.close(),
            Slot::Full { engine, .. } => engine.map_or(Ok(()), Engine::close),
            Slot::Storing(_) | Slot::Broken(_) => return,
        };
        if let Err(error) = closed {
            tracing::error!(%error, folder = %self.folder.path().display(), "the store was not closed well");
            return;
        }
        note(self.watermark.close(state.read().revision()));
    }
}

/// What is acknowledged: everything that can be read.
fn reached(state: &RwLock<State>) -> Position {
    let state = state.read();
    Position { revision: state.revision(), oldest: state.oldest() }
}

/// The witness is of the second line: what it attests is durable without it.
fn note(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "cannot note the acknowledged revision");
    }
}
