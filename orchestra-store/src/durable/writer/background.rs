//! The engine's writes, while the log goes on.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use parking_lot::RwLock;

use crate::{
    durable::{
        chunk::{self, Chunk},
        engine::{Engine, EngineError, Position},
        sweep::Sweep,
    },
    mvcc::State,
};

/// What the engine is to make durable, itself included.
pub(super) struct Load {
    pub(super) engine: Engine,
    pub(super) chunks: Vec<Chunk>,
    /// What the engine reaches to with them.
    pub(super) position: Position,
    pub(super) sweep: Sweep,
    pub(super) state: Arc<RwLock<State>>,
}

/// What came of it.
pub(super) struct Stored {
    pub(super) engine: Engine,
    pub(super) chunks: Vec<Chunk>,
    pub(super) position: Position,
    pub(super) outcome: Result<Sweep, EngineError>,
}

/// A write of the engine that is under way, on a thread of its own. Who drops this waits for it, so that nobody else finds the
/// folder unlocked before.
pub(super) struct Storing {
    under_way: Option<UnderWay>,
}

enum UnderWay {
    Elsewhere(JoinHandle<Option<Stored>>),
    /// There was no thread to be had.
    Done(Box<Stored>),
}

impl Storing {
    pub(super) fn start(load: Load) -> Self {
        // By a channel, as what a thread is made with is lost where none can be made.
        let (hand_over, handed_over) = mpsc::channel();
        let thread = thread::Builder::new().name("orchestra-durable".to_owned());
        let under_way = match thread.spawn(move || handed_over.recv().ok().map(store)) {
            Ok(thread) => match hand_over.send(load) {
                Ok(()) => UnderWay::Elsewhere(thread),
                Err(mpsc::SendError(load)) => UnderWay::Done(Box::new(store(load))),
            },
            Err(_) => UnderWay::Done(Box::new(store(load))),
        };
        Self { under_way: Some(under_way) }
    }

    pub(super) fn is_done(&self) -> bool {
        match &self.under_way {
            Some(UnderWay::Elsewhere(thread)) => thread.is_finished(),
            Some(UnderWay::Done(_)) | None => true,
        }
    }

    /// Waits for it; `None` if it panicked.
    pub(super) fn join(mut self) -> Option<Stored> {
        match self.under_way.take()? {
            UnderWay::Elsewhere(thread) => thread.join().ok().flatten(),
            UnderWay::Done(stored) => Some(*stored),
        }
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        if let Some(UnderWay::Elsewhere(thread)) = self.under_way.take() {
            drop(thread.join());
        }
    }
}

fn store(load: Load) -> Stored {
    let Load { engine, chunks, position, sweep, state } = load;
    let outcome = write(&engine, position, (&chunks, &[]), sweep, &state);
    Stored { engine, chunks, position, outcome }
}

/// Has the engine write what is acknowledged and what is not yet, and sweep as much as goes with that. What is not begins a chunk, by
/// which it could be taken back.
pub(super) fn write(
    engine: &Engine,
    position: Position,
    (acknowledged, new): (&[Chunk], &[Chunk]),
    mut sweep: Sweep,
    state: &RwLock<State>,
) -> Result<Sweep, EngineError> {
    engine.write(position, |file| {
        let mut bytes = 0;
        for chunk in chunk::joined(acknowledged).iter().chain(new) {
            file.put(chunk)?;
            bytes += chunk.bytes.len();
        }
        sweep.step(file, bytes as u64, state)
    })?;
    Ok(sweep)
}
