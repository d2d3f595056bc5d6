//! A witness of what was acknowledged, beside the data and independent of it. It is written after every group but not made
//! durable with it, so it costs microseconds: after the crash of a process it is exact, after a loss of power it is what the
//! kernel had written by then. What it tells was durable before; if the data lacks it, the data has lost it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use orchestra_core::store::Revision;

use super::{error::OpenError, folder::open_file};

/// The name of the file in a store's folder.
pub(super) const NAME: &str = "acknowledged";
/// Two slots, written by turns, in disk sectors of their own: a write that is cut leaves the other.
const SLOTS: u64 = 2;
const SECTOR: u64 = 512;
const SLOT: usize = 36;

/// What a slot tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    turn: u64,
    /// The newest revision that was acknowledged.
    pub(super) acknowledged: Revision,
    /// The newest revision that was about to be written.
    pub(super) intended: Revision,
    /// Whether the store was closed after that.
    pub(super) closed: bool,
}

pub(super) struct Watermark {
    file: File,
    mark: Mark,
}

impl Watermark {
    /// Makes the file, durable, for a store at `revision`.
    pub(super) fn create(folder: &Path, revision: Revision) -> Result<(), OpenError> {
        let path = folder.join(NAME);
        let make = || {
            let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
            let mark = Mark { turn: 0, acknowledged: revision, intended: revision, closed: true };
            let mut watermark = Self { file, mark };
            watermark.file.set_len(SLOTS * SECTOR)?;
            for _ in 0..SLOTS {
                watermark.write(|_| ())?;
            }
            watermark.file.sync_all()
        };
        make().map_err(OpenError::io(&path))
    }

    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(NAME);
        let (file, bytes) = open_file(&path)?;
        let marks: Vec<Mark> = bytes.chunks(SECTOR as usize).filter_map(Mark::read).collect();
        if marks.len() < SLOTS as usize {
            tracing::warn!(file = %path.display(), "a slot of the acknowledged revision is damaged or was being written");
        }
        match marks.into_iter().max_by_key(|mark| mark.turn) {
            Some(mark) => Ok(Self { file, mark }),
            None => Err(OpenError::corrupt(path, "neither of its slots can be read")),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Notes that the store is open, with everything up to `revision`.
    pub(super) fn begin(&mut self, revision: Revision) -> io::Result<()> {
        self.write(|mark| *mark = Mark { acknowledged: revision, intended: revision, closed: false, ..*mark })
    }

    /// Notes that everything up to `revision` is about to be written.
    pub(super) fn intend(&mut self, revision: Revision) -> io::Result<()> {
        self.write(|mark| mark.intended = revision)
    }

    /// Notes that everything up to `revision` is durable and about to be acknowledged.
    pub(super) fn acknowledge(&mut self, revision: Revision) -> io::Result<()> {
        self.write(|mark| mark.acknowledged = revision)
    }

    /// Notes, durably, that the store was closed at `revision`.
    pub(super) fn close(&mut self, revision: Revision) -> io::Result<()> {
        self.write(|mark| *mark = Mark { acknowledged: revision, intended: revision, closed: true, ..*mark })?;
        self.file.sync_data()
    }

    fn write(&mut self, change: impl FnOnce(&mut Mark)) -> io::Result<()> {
        let mut mark = Mark { turn: self.mark.turn + 1, ..self.mark };
        change(&mut mark);
        self.file.seek(SeekFrom::Start(mark.turn % SLOTS * SECTOR))?;
        self.file.write_all(&mark.to_bytes())?;
        self.mark = mark;
        Ok(())
    }
}

impl Mark {
    fn to_bytes(self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        let words = [self.turn, self.acknowledged, self.intended, u64::from(self.closed)];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes[..SLOT - 4]);
        bytes[SLOT - 4..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (words, sum) = bytes.get(..SLOT)?.split_at(SLOT - 4);
        if crc32fast::hash(words).to_le_bytes() != sum {
            return None;
        }
        let mut words = words.chunks_exact(8).filter_map(|word| Some(u64::from_le_bytes(word.try_into().ok()?)));
        let (turn, acknowledged, intended) = (words.next()?, words.next()?, words.next()?);
        Some(Self { turn, acknowledged, intended, closed: words.next()? == 1 })
    }
}
