use orchestra_core::store::Revision;
use redb::{ReadableTable, Table};

use super::EngineError;
use crate::durable::{chunk::Chunk, record::Place};

/// The chunks within a write.
pub(in crate::durable) struct Chunks<'a>(pub(super) Table<'a, Place, &'static [u8]>);

impl Chunks<'_> {
    pub(in crate::durable) fn put(&mut self, chunk: &Chunk) -> Result<(), EngineError> {
        self.0.insert(chunk.place, &chunk.bytes[..])?;
        Ok(())
    }

    pub(in crate::durable) fn remove(&mut self, place: Place) -> Result<(), EngineError> {
        self.0.remove(place)?;
        Ok(())
    }

    /// Removes every chunk that begins after `revision`.
    pub(in crate::durable) fn remove_after(&mut self, revision: Revision) -> Result<(), EngineError> {
        self.0.retain_in((revision + 1, 0).., |_, _| false)?;
        Ok(())
    }

    /// The first chunks from `start` on, until they have `bytes`.
    pub(in crate::durable) fn read(&self, start: Place, bytes: usize) -> Result<Vec<Chunk>, EngineError> {
        let (mut chunks, mut size) = (Vec::new(), 0);
        for row in self.0.range(start..)? {
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
