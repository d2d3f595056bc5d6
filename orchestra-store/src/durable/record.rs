//! One change of one key, as bytes: little-endian numbers, lengths before texts. Its checksum is its chunk's.

use std::time::Duration;

use bytes::Bytes;
use orchestra_core::store::{Key, KeyValue, Revision};

use crate::mvcc::{DraftedWrite, Put, Write};

/// A change's place: its revision, and its place among the changes of that revision.
pub(super) type Place = (Revision, u32);

/// One change of one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) place: Place,
    pub(super) key: &'a str,
    /// `None` where the key was deleted.
    pub(super) put: Option<RecordedPut<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct RecordedPut<'a> {
    pub(super) value: &'a [u8],
    pub(super) create_revision: Revision,
    pub(super) lifetime: Option<Lifetime>,
}

/// How long a key lives: milliseconds, as all that is needed after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// As it was put.
    ttl: u64,
    /// When it ends, since 1970.
    deadline: i64,
}

impl Lifetime {
    /// `None` for a time to live that ends beyond what can be told.
    pub(super) fn starting(now: i64, ttl: Duration) -> Option<Self> {
        let ttl = i64::try_from(ttl.as_nanos().div_ceil(1_000_000)).ok()?;
        Some(Self { ttl: ttl.unsigned_abs(), deadline: now.checked_add(ttl)? })
    }

    /// What is left of it; never more than it was, whatever the clock does.
    pub(super) fn remaining(self, now: i64) -> Duration {
        let left = self.deadline.saturating_sub(now).max(0).unsigned_abs();
        Duration::from_millis(left.min(self.ttl))
    }
}

const DELETE: u8 = 0;
const PUT: u8 = 1;
const PUT_WITH_TTL: u8 = 2;

impl<'a> Record<'a> {
    pub(super) fn new(place: Place, drafted: &'a DraftedWrite, now: i64) -> Self {
        let DraftedWrite { write: Write { key, put }, create_revision } = drafted;
        let put = put.as_ref().map(|Put { value, ttl }| RecordedPut {
            value,
            create_revision: *create_revision,
            lifetime: ttl.and_then(|ttl| Lifetime::starting(now, ttl)),
        });
        Self { place, key, put }
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        out.extend(self.place.0.to_le_bytes());
        out.extend(self.place.1.to_le_bytes());
        match &self.put {
            None => out.push(DELETE),
            Some(RecordedPut { create_revision, lifetime, .. }) => {
                out.push(if lifetime.is_some() { PUT_WITH_TTL } else { PUT });
                out.extend(create_revision.to_le_bytes());
                if let Some(Lifetime { ttl, deadline }) = lifetime {
                    out.extend(ttl.to_le_bytes());
                    out.extend(deadline.to_le_bytes());
                }
            }
        }
        write_text(self.key.as_bytes(), out);
        if let Some(put) = &self.put {
            write_text(put.value, out);
        }
    }

    /// Reads the record that `bytes` begins with, and moves them behind it; `None` if there is none.
    pub(super) fn read_from(bytes: &mut &'a [u8]) -> Option<Self> {
        let place = (u64::from_le_bytes(take(bytes)?), u32::from_le_bytes(take(bytes)?));
        let [kind] = take(bytes)?;
        if kind == DELETE {
            return Some(Self { place, key: str::from_utf8(read_text(bytes)?).ok()?, put: None });
        }
        let create_revision = u64::from_le_bytes(take(bytes)?);
        let lifetime = match kind {
            PUT => None,
            PUT_WITH_TTL => {
                let (ttl, deadline) = (u64::from_le_bytes(take(bytes)?), i64::from_le_bytes(take(bytes)?));
                Some(Lifetime { ttl, deadline })
            }
            _ => return None,
        };
        let key = str::from_utf8(read_text(bytes)?).ok()?;
        Some(Self { place, key, put: Some(RecordedPut { value: read_text(bytes)?, create_revision, lifetime }) })
    }

    /// About how many bytes it is.
    pub(super) fn bytes(&self) -> u64 {
        const NUMBERS: usize = 40;
        (NUMBERS + self.key.len() + self.put.as_ref().map_or(0, |put| put.value.len())) as u64
    }

    /// What is left of the key's time to live.
    pub(super) fn remaining(&self, now: i64) -> Option<Duration> {
        Some(self.put.as_ref()?.lifetime?.remaining(now))
    }

    /// The write that this is a record of, with what is left of its time to live.
    pub(super) fn to_write(&self, now: i64) -> Write {
        let ttl = self.remaining(now);
        let put = self.put.as_ref().map(|put| Put { value: Bytes::copy_from_slice(put.value), ttl });
        Write { key: Key::from(self.key), put }
    }

    /// The key as the record leaves it.
    pub(super) fn to_key_value(&self) -> Option<KeyValue> {
        let put = self.put.as_ref()?;
        Some(KeyValue {
            key: Key::from(self.key),
            value: Bytes::copy_from_slice(put.value),
            create_revision: put.create_revision,
            mod_revision: self.place.0,
        })
    }
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

fn read_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::from_le_bytes(take(bytes)?)).ok()?;
    bytes.split_off(..length)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}
