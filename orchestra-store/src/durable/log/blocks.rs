//! How blocks get to the disk: past the page cache where the file system has that, as what is written once and read at the next
//! opening at the earliest only takes time there, more than twice as much as on the disk in the slowest of a hundred writes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// What everything begins at multiples of: places in the file, and in memory.
pub(super) const BLOCK: usize = 4096;

/// A file of a fixed length, and memory to write to it from.
pub(super) struct Blocks {
    file: File,
    memory: Vec<u8>,
    /// Where in the memory a block may begin.
    begin: usize,
}

impl Blocks {
    /// Opens a file of at least one block, to be written to by up to `most` bytes at once.
    pub(super) fn open(path: &Path, most: usize) -> io::Result<Self> {
        let memory = vec![0; most + BLOCK];
        let begin = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        let mut options = File::options();
        options.read(true).write(true);
        let mut blocks = Self {
            file: past_the_cache(&mut options.clone()).open(path).or_else(|_| options.open(path))?,
            memory,
            begin,
        };
        // Whether it can be done is known once it was.
        if blocks.read_first().is_err() {
            blocks.file = options.open(path)?;
        }
        Ok(blocks)
    }

    fn read_first(&mut self) -> io::Result<()> {
        let Self { file, memory, begin } = self;
        file.read_exact(&mut memory[*begin..*begin + BLOCK])
    }

    /// Makes durable at `place` what `fill` puts into `length` bytes, which begin as anything. Both are multiples of a block.
    pub(super) fn write(&mut self, place: usize, length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let bytes = &mut self.memory[self.begin..self.begin + length];
        fill(bytes);
        self.file.seek(SeekFrom::Start(place as u64))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

#[cfg(target_os = "linux")]
fn past_the_cache(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_DIRECT)
}

#[cfg(not(target_os = "linux"))]
fn past_the_cache(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
