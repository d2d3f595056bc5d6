//! A group as bytes: little-endian numbers, lengths before texts.
//!
//! ```text
//!   the log's number, the length of all, the checksum of all that follows
//!   the revision before, the revision that it leads to, the oldest revision then
//!   for each chunk: its length, its place, its records with their checksum
//! ```

use orchestra_core::store::Revision;

use crate::durable::{
    chunk::{self, Chunk},
    engine::Position,
};

/// What is before that which the checksum is of.
const HEAD: usize = 16;

/// One group.
pub(in crate::durable) struct Entry {
    pub(super) before: Revision,
    pub(in crate::durable) position: Position,
    pub(in crate::durable) chunks: Vec<Chunk>,
}

pub(super) fn write(out: &mut Vec<u8>, number: u64, before: Revision, position: Position, chunks: &[Chunk]) {
    out.clear();
    out.extend(number.to_le_bytes());
    out.extend([0; HEAD - size_of::<u64>()]);
    for revision in [before, position.revision, position.oldest] {
        out.extend(revision.to_le_bytes());
    }
    for Chunk { place, bytes } in chunks {
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(place.0.to_le_bytes());
        out.extend(place.1.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    // A group that is too long for this is too long for the log.
    let length = u32::try_from(out.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32fast::hash(&out[HEAD..]).to_le_bytes();
    out[8..HEAD].copy_from_slice(&[length, sum].concat());
}

/// The group that `bytes` begin with, and its length; `None` if there is none, or it is not whole.
pub(super) fn read(bytes: &[u8], number: u64) -> Option<(Entry, usize)> {
    let mut head = bytes;
    if u64::from_le_bytes(take(&mut head)?) != number {
        return None;
    }
    let length = u32::from_le_bytes(take(&mut head)?) as usize;
    let sum = u32::from_le_bytes(take(&mut head)?);
    let mut rest = bytes.get(HEAD..length)?;
    if crc32fast::hash(rest) != sum {
        return None;
    }
    let mut revision = || Some(u64::from_le_bytes(take(&mut rest)?));
    let (before, position) = (revision()?, Position { revision: revision()?, oldest: revision()? });
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
        let place = (u64::from_le_bytes(take(&mut rest)?), u32::from_le_bytes(take(&mut rest)?));
        let bytes = rest.split_off(..length)?.to_vec();
        chunk::records(place, &bytes)?;
        chunks.push(Chunk { place, bytes });
    }
    Some((Entry { before, position, chunks }, length))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}
