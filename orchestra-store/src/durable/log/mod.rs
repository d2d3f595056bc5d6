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

mod entry;
mod replay;

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use orchestra_core::{random::Generator, store::Revision};

pub(super) use self::entry::Entry;
use self::replay::Replay;
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
/// What the engine gets at once. With less it has more to do; with more it takes longer, which whoever fills the other half
/// meanwhile has to wait for.
const HALF: usize = 1 << 20;
const SIZE: usize = BLOCK + 2 * HALF;
const BLOCK: usize = 4096;
const HALVES: [usize; 2] = [BLOCK, BLOCK + HALF];
const CHECKSUM: usize = size_of::<u32>();

pub(super) struct Log {
    file: File,
    /// Begins every group, and is known to nobody who could put it into a value.
    number: u64,
    /// Where the half begins that is written to: one of `HALVES`.
    half: usize,
    /// Where the next group goes.
    end: usize,
    /// Whether the engine may lack groups of the half where the next group does not go.
    other_is_needed: bool,
    /// The group that is being written.
    bytes: Vec<u8>,
}

impl Log {
    /// Makes the file, durable, with all its blocks.
    pub(super) fn create(folder: &Path) -> Result<(), OpenError> {
        let new = folder.join(BEING_MADE);
        let make = || {
            let mut bytes = vec![0; SIZE];
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
        let (file, bytes) = open_file(&path)?;
        let number =
            number(&bytes).ok_or_else(|| OpenError::corrupt(&path, "its beginning is damaged, or it was cut"))?;
        let replay = replay::replay(&bytes, number, stored).map_err(|reason| OpenError::corrupt(&path, reason))?;
        let Replay { entries, half, end, other_is_needed } = replay;
        Ok((Self { file, number, half, end, other_is_needed, bytes: Vec::new() }, entries))
    }

    /// Prepares a group: what leads from revision `before` to `position`.
    pub(super) fn prepare(&mut self, before: Revision, position: Position, chunks: &[Chunk]) {
        entry::write(&mut self.bytes, self.number, before, position, chunks);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// Whether what is prepared has room in this half.
    pub(super) fn has_room(&self) -> bool {
        self.end + self.bytes.len() <= self.half + HALF
    }

    /// Whether what is prepared has room in a half that is empty.
    pub(super) fn would_have_room(&self) -> bool {
        self.bytes.len() <= HALF
    }

    /// Makes durable what is prepared, which there must be room for.
    pub(super) fn append(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end as u64))?;
        self.file.write_all(&self.bytes)?;
        self.file.sync_data()?;
        self.end += self.bytes.len();
        Ok(())
    }

    /// Goes on in the other half; `false` if that is needed still.
    pub(super) fn switch(&mut self) -> bool {
        if self.other_is_needed {
            return false;
        }
        self.half = if self.half == HALVES[0] { HALVES[1] } else { HALVES[0] };
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
        self.file.seek(SeekFrom::Start(BLOCK as u64))?;
        self.file.write_all(&vec![0; SIZE - BLOCK])?;
        self.file.sync_data()
    }
}

/// The number of a whole file.
fn number(bytes: &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_at_checked(TITLE.len() + size_of::<u64>())?;
    let whole = bytes.len() == SIZE && rest.get(..CHECKSUM)? == crc32fast::hash(head).to_le_bytes();
    let number = head.strip_prefix(TITLE)?.try_into().ok()?;
    whole.then(|| u64::from_le_bytes(number))
}
