use orchestra_core::store::Revision;
use redb::{ReadableTable, Table};

use super::{EngineError, Position};
use crate::durable::{chunk::Chunk, record::Place};

/// The chunks within a write.
pub(in crate::durable) struct Chunks<'a> {
    pub(super) table: Table<'a, Place, &'static [u8]>,
    pub(super) position: Position,
}

impl Chunks<'_> {
    /// What they will reach to.
    pub(in crate::durable) fn position(&self) -> Position {
        self.position
    }

    /// Has the history begin at `oldest`, unless it does so later.
    pub(in crate::durable) fn begin_at(&mut self, oldest: Revision) {
        self.position.oldest = self.position.oldest.max(oldest);
    }

    pub(in crate::durable) fn put(&mut self, chunk: &Chunk) -> Result<(), EngineError> {
        self.table.insert(chunk.place, &chunk.bytes[..])?;
        Ok(())
    }

    pub(in crate::durable) fn remove(&mut self, place: Place) -> Result<(), EngineError> {
        self.table.remove(place)?;
        Ok(())
    }

    /// Removes every chunk that begins after `revision`.
    pub(in crate::durable) fn remove_after(&mut self, revision: Revision) -> Result<(), EngineError> {
        self.table.retain_in((revision + 1, 0).., |_, _| false)?;
        Ok(())
    }

    /// The first chunks from `start` on, until they have `bytes`.
    pub(in crate::durable) fn read(&self, start: Place, bytes: usize) -> Result<Vec<Chunk>, EngineError> {
        let (mut chunks, mut size) = (Vec::new(), 0);
        for row in self.table.range(start..)? {
            if size >= bytes {
                break;
            }
            let (place, value) = row?;
            size += value.value().len();
            chunks.push(Chunk { place: place.value(), bytes: value.value().to_vec() });
        }
        Ok(chunks)
    }
}
