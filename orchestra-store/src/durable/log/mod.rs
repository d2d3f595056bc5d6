//! The newest groups, on their way to the engine.
//!
//! The engine's time goes by the write more than by the byte: a group of 64 changes of 1 KiB touches 14 of its pages, all over its
//! file, which takes 500 us, 8 for each change; of a thousand that come together each takes 2. So a group is durable once it is
//! in the log, in one piece, in blocks that the disk has had from the start, which takes 120 us; and the engine gets many groups
//! with one write, when half of the log is full, while the other half takes the next.
//!
//! ```text
//!   title, a number that only this file has, checksum of these; up to the end of the block
//!   two halves: for each group, in blocks of its own: that number, its length, its checksum, what it is: `entry`
//!               what is left of groups that the engine has
//! ```
//! A half is written from its beginning again once the engine has its groups. Those that it has tell so by their revisions.

mod blocks;
mod entry;
mod replay;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use orchestra_core::{random::Generator, store::Revision};

pub(super) use self::entry::Entry;
use self::{
    blocks::{BLOCK, Blocks},
    replay::Replay,
};
use super::{
    chunk::Chunk,
    engine::Position,
    error::OpenError,
    folder::{open_file, sync_folder},
};

/// The name of the file in a store's folder.
pub(super) const NAME: &str = "log";
/// The name of a file that may not be whole yet.
pub(super) const BEING_MADE: &str = "log.new";

const TITLE: &[u8] = b"orchestra durable store, log 1\n";
/// How long the halves of a new file are: what the engine gets at once. With less it has more to do; with more it takes longer, which
/// whoever fills the other half meanwhile has to wait for.
const HALF: usize = 2 << 20;
const CHECKSUM: usize = size_of::<u32>();

pub(super) struct Log {
    blocks: Blocks,
    /// Begins every group, and is known to nobody who could put it into a value.
    number: u64,
    halves: Halves,
    /// Where the half begins that is written to.
    half: usize,
    /// Where the next group goes.
    end: usize,
    /// Whether the engine may lack groups of the half where the next group does not go.
    other_is_needed: bool,
}

impl Log {
    /// Makes the file, durable, with all its blocks.
    pub(super) fn create(folder: &Path) -> Result<(), OpenError> {
        let new = folder.join(BEING_MADE);
        let make = || {
            let mut bytes = vec![0; BLOCK + 2 * HALF];
            let number = Generator::from_entropy().below(u64::MAX);
            let head = [TITLE, &number.to_le_bytes()].concat();
            let sum = crc32fast::hash(&head).to_le_bytes();
            bytes[..head.len() + CHECKSUM].copy_from_slice(&[&head[..], &sum].concat());
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, folder.join(NAME))?;
            sync_folder(folder)
        };
        make().map_err(OpenError::io(folder.join(NAME)))
    }

    /// Opens the file of a store whose engine has everything up to `stored`: the groups after that.
    pub(super) fn open(folder: &Path, stored: Revision) -> Result<(Self, Vec<Entry>), OpenError> {
        let path = folder.join(NAME);
        let (_, bytes) = open_file(&path)?;
        let (number, halves) =
            head(&bytes).ok_or_else(|| OpenError::corrupt(&path, "its beginning is damaged, or it was cut"))?;
        let replay = replay::replay(&bytes, (number, halves), stored);
        let replay = replay.map_err(|reason| OpenError::corrupt(&path, reason))?;
        let Replay { entries, half, end, other_is_needed } = replay;
        let blocks = Blocks::open(&path, halves.length).map_err(OpenError::io(&path))?;
        Ok((Self { blocks, number, halves, half, end, other_is_needed }, entries))
    }

    /// Whether these have room in this half.
    pub(super) fn has_room(&self, chunks: &[Chunk]) -> bool {
        self.end + room(chunks) <= self.half + self.halves.length
    }

    /// Whether these have room in a half that is empty.
    pub(super) fn would_have_room(&self, chunks: &[Chunk]) -> bool {
        room(chunks) <= self.halves.length
    }

    /// Makes a group durable, which there must be room for: what leads from revision `before` to `position`.
    pub(super) fn append(&mut self, before: Revision, position: Position, chunks: &[Chunk]) -> io::Result<()> {
        let (length, room, number) = (entry::length(chunks), room(chunks), self.number);
        self.blocks.write(self.end, room, |bytes| {
            let (group, rest) = bytes.split_at_mut(length);
            entry::write(group, number, before, position, chunks);
            rest.fill(0);
        })?;
        self.end += room;
        Ok(())
    }

    /// Goes on in the other half; `false` if that is needed still.
    pub(super) fn switch(&mut self) -> bool {
        if self.other_is_needed {
            return false;
        }
        let [first, second] = self.halves.begins();
        self.half = if self.half == first { second } else { first };
        self.end = self.half;
        self.other_is_needed = true;
        true
    }

    /// Notes that the engine has everything that is in the other half.
    pub(super) fn other_is_stored(&mut self) {
        self.other_is_needed = false;
    }

    /// Begins anew, as the engine has everything.
    pub(super) fn restart(&mut self) {
        self.end = self.half;
        self.other_is_needed = false;
    }

    /// Begins anew, with nothing left of former groups: those may be of revisions that will be given again.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.restart();
        let Halves { length } = self.halves;
        self.halves.begins().into_iter().try_for_each(|half| self.blocks.write(half, length, |bytes| bytes.fill(0)))
    }
}

/// The bytes of the blocks that a group of these takes.
fn room(chunks: &[Chunk]) -> usize {
    entry::length(chunks).next_multiple_of(BLOCK)
}

/// The halves of a file. They need not be as long as those of a new one.
#[derive(Clone, Copy)]
struct Halves {
    length: usize,
}

impl Halves {
    /// Those of a file of this length.
    fn of(file: usize) -> Option<Self> {
        let length = file.checked_sub(BLOCK)? / 2;
        (length.is_power_of_two() && length >= BLOCK && file == BLOCK + 2 * length).then_some(Self { length })
    }

    fn begins(self) -> [usize; 2] {
        [BLOCK, BLOCK + self.length]
    }

    /// Where the half begins that `place` is in.
    fn begin_of(self, place: usize) -> usize {
        let [first, second] = self.begins();
        if place < second { first } else { second }
    }
}

/// The number of a whole file, and its halves.
fn head(bytes: &[u8]) -> Option<(u64, Halves)> {
    let (head, rest) = bytes.split_at_checked(TITLE.len() + size_of::<u64>())?;
    let is_whole = rest.get(..CHECKSUM)? == crc32fast::hash(head).to_le_bytes();
    let number = u64::from_le_bytes(head.strip_prefix(TITLE)?.try_into().ok()?);
    Some((number, Halves::of(bytes.len())?)).filter(|_| is_whole)
}
