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
/// The revisions.
const BODY_HEAD: usize = 24;
/// What is before a chunk's bytes.
const CHUNK_HEAD: usize = 20;

/// One group.
pub(in crate::durable) struct Entry {
    pub(in crate::durable) before: Revision,
    pub(in crate::durable) position: Position,
    pub(in crate::durable) chunks: Vec<Chunk>,
}

/// How many bytes a group of such chunks is.
pub(super) fn length(chunks: &[Chunk]) -> usize {
    let chunks: usize = chunks.iter().map(|chunk| CHUNK_HEAD + chunk.bytes.len()).sum();
    HEAD + BODY_HEAD + chunks
}

/// Writes a group to `out`, which has its length.
pub(super) fn write(out: &mut [u8], number: u64, before: Revision, position: Position, chunks: &[Chunk]) {
    let length = out.len() as u32;
    let (head, body) = out.split_at_mut(HEAD);
    let mut rest = &mut *body;
    for revision in [before, position.revision, position.oldest] {
        put(&mut rest, &revision.to_le_bytes());
    }
    for Chunk { place, bytes } in chunks {
        put(&mut rest, &(bytes.len() as u64).to_le_bytes());
        put(&mut rest, &place.0.to_le_bytes());
        put(&mut rest, &place.1.to_le_bytes());
        put(&mut rest, bytes);
    }
    let sum = crc32fast::hash(body).to_le_bytes();
    head.copy_from_slice(&[&number.to_le_bytes()[..], &length.to_le_bytes(), &sum].concat());
}

fn put(out: &mut &mut [u8], bytes: &[u8]) {
    let (here, rest) = std::mem::take(out).split_at_mut(bytes.len());
    here.copy_from_slice(bytes);
    *out = rest;
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
