//! Reads a log file on and on, also when it is moved away and another one takes its place.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use orchestra_core::container_runtime::{LogLine, LogOptions, RuntimeError};

use super::{lines::Lines, tail::tail_start};

/// How much is read at once.
const BLOCK: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    /// `None` as long as there is none: runtimes make it when the container starts.
    file: Option<File>,
    position: u64,
    /// What was read of an entry whose end was not.
    begun: Vec<u8>,
    lines: Lines,
}

impl Reader {
    /// Begins where `options` say.
    pub(super) fn open(path: PathBuf, options: &LogOptions) -> Result<Self, RuntimeError> {
        // What is written from now on does not make the last lines more, unless they are followed.
        let lines = Lines::new(options.since, options.tail.filter(|_| !options.follow));
        let mut reader = Self { path, file: None, position: 0, begun: Vec::new(), lines };
        reader.open_file().map_err(|error| reader.error(&error))?;
        if let (Some(file), Some(count)) = (&mut reader.file, options.tail) {
            let start = file.metadata().and_then(|metadata| tail_start(file, metadata.len(), count));
            reader.position = start.map_err(|error| reader.error(&error))?;
        }
        Ok(reader)
    }

    fn open_file(&mut self) -> io::Result<()> {
        self.position = 0;
        self.file = match File::open(&self.path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// The next lines; none if nothing more was written.
    pub(super) fn read(&mut self) -> Result<Vec<LogLine>, RuntimeError> {
        let mut lines = Vec::new();
        let mut is_old = false;
        loop {
            match self.read_block(&mut lines) {
                // Nothing is left of it, and nothing more comes: there is a newer one.
                Ok(0) if is_old => {
                    is_old = false;
                    self.begun.clear();
                    self.open_file().map_err(|error| self.error(&error))?;
                }
                // What was written since it was read, and before the newer one was begun.
                Ok(0) if self.was_replaced() => is_old = true,
                Ok(0) => return Ok(lines),
                Ok(_) if lines.is_empty() => {}
                Ok(_) => return Ok(lines),
                Err(error) => return Err(self.error(&error)),
            }
        }
    }

    /// What was begun and will not go on.
    pub(super) fn rest(&mut self) -> Vec<LogLine> {
        self.lines.rest().collect()
    }

    fn read_block(&mut self, lines: &mut Vec<LogLine>) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let mut block = vec![0; BLOCK];
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(&mut block)?;
        self.position += count as u64;
        let mut rest = &block[..count];
        while let Some(feed) = rest.iter().position(|&byte| byte == b'\n') {
            let line = &rest[..feed];
            if self.begun.is_empty() {
                lines.extend(self.lines.take(line));
            } else {
                self.begun.extend_from_slice(line);
                lines.extend(self.lines.take(&self.begun));
                self.begun.clear();
            }
            rest = &rest[feed + 1..];
        }
        self.begun.extend_from_slice(rest);
        Ok(count)
    }

    /// Whether the path leads to another file than the one that is read, or that one was emptied.
    fn was_replaced(&self) -> bool {
        let Ok(there) = fs::metadata(&self.path) else { return false };
        let Some(Ok(ours)) = self.file.as_ref().map(File::metadata) else { return true };
        (there.dev(), there.ino()) != (ours.dev(), ours.ino()) || there.len() < self.position
    }

    fn error(&self, error: &io::Error) -> RuntimeError {
        RuntimeError::Failed(format!("failed to read log file {:?}: {error}", self.path.display().to_string()))
    }
}
