//! Removal of what is superseded. A change that nobody can read any more stays where it is until half of all that is stored is
//! such; then a pass over all chunks takes it out, a few chunks with each commit, so that no commit is slow for it.

use std::collections::HashMap;

use orchestra_core::store::Revision;

use super::{
    chunk::{self, Chunk, Packer},
    engine::{Chunks, EngineError},
    record::{Place, Record},
};
use crate::mvcc::State;

/// What may be superseded before a pass is worth it, in bytes.
const LEAST: u64 = 8 << 20;
/// How much a pass reads for each byte that is written: fast enough to be done before as much again is stored.
const PACE: u64 = 4;
/// What it reads at least with each write.
const STEP: u64 = 64 << 10;

#[derive(Clone)]
pub(super) struct Sweep {
    /// The bytes of all chunks.
    stored: u64,
    /// How many there are to be for the next pass.
    due: u64,
    pass: Option<Pass>,
}

#[derive(Clone)]
struct Pass {
    next: Place,
    /// The oldest revision kept when the pass began. Only deletions before it are taken out: the puts that they superseded were
    /// so then, and the pass has met them before, so no key comes back.
    oldest: Revision,
}

impl Sweep {
    /// Of a file with `stored` bytes of chunks, of which `kept` are of changes that are not superseded.
    pub(super) fn new(stored: u64, kept: u64) -> Self {
        Self { stored, due: due(kept), pass: None }
    }

    /// Whether there is nothing to sweep with `bytes` of new chunks.
    pub(super) fn rests(&self, bytes: u64) -> bool {
        self.pass.is_none() && self.stored + bytes < self.due
    }

    /// Notes `bytes` of new chunks that came while it rested.
    pub(super) fn note(&mut self, bytes: u64) {
        self.stored += bytes;
    }

    /// Notes `bytes` of new chunks, and sweeps its part. The engine must come to what `state` is, or begin its history later: one
    /// that is older lacks what is swept.
    pub(super) fn step(&mut self, chunks: &mut Chunks<'_>, bytes: u64, state: &State) -> Result<(), EngineError> {
        self.note(bytes);
        if self.pass.is_none() && self.stored >= self.due {
            self.pass = Some(Pass { next: (0, 0), oldest: state.oldest() });
        }
        let Some(mut pass) = self.pass.take() else { return Ok(()) };
        let budget = (PACE * bytes).max(STEP) as usize;
        let read = chunks.read(pass.next, budget)?;
        for chunk in &read {
            // What is kept as history begins here, and goes to the end.
            if chunk.place.0 >= pass.oldest {
                break;
            }
            self.stored -= pass.sweep(chunk, chunks, state)?;
        }
        match read.last() {
            Some(last) if last.place.0 < pass.oldest => {
                pass.next = (last.place.0, last.place.1 + 1);
                self.pass = Some(pass);
            }
            _ => self.due = due(self.stored),
        }
        Ok(())
    }
}

/// When a file with this much that is not superseded is to be swept.
fn due(kept: u64) -> u64 {
    kept + kept.max(LEAST)
}

impl Pass {
    /// Takes what is superseded out of a chunk; the bytes that this frees.
    fn sweep(&self, chunk: &Chunk, chunks: &mut Chunks<'_>, state: &State) -> Result<u64, EngineError> {
        let records = chunk::records(chunk.place, &chunk.bytes).ok_or_else(|| {
            EngineError::Corrupt(format!("the changes from revision {} on have changed on the disk", chunk.place.0))
        })?;
        // A key that is changed all the time has many records here, and a long history to look through.
        let mut oldest: HashMap<&str, Option<Revision>> = HashMap::new();
        let mut kept = Vec::new();
        for record in &records {
            let oldest = oldest.entry(record.key).or_insert_with(|| state.oldest_of(record.key));
            kept.extend(self.keeps(record, *oldest).then_some(record));
        }
        if kept.len() == records.len() {
            return Ok(0);
        }
        let mut packer = Packer::default();
        kept.into_iter().for_each(|record| packer.push(record));
        let left = packer.finish();
        chunks.remove(chunk.place)?;
        for chunk in &left {
            chunks.put(chunk)?;
        }
        let left: usize = left.iter().map(|chunk| chunk.bytes.len()).sum();
        Ok((chunk.bytes.len() - left) as u64)
    }

    /// Whether the record stays, where the oldest change of its key that is not superseded is that one.
    fn keeps(&self, record: &Record<'_>, oldest: Option<Revision>) -> bool {
        let revision = record.place.0;
        oldest.is_some_and(|oldest| revision >= oldest) || (record.put.is_none() && revision >= self.oldest)
    }
}
