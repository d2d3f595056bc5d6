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
    /// Whether another file was in its place when nothing more was in it.
    is_old: bool,
    /// What was read of an entry whose end was not.
    begun: Vec<u8>,
    lines: Lines,
}

impl Reader {
    /// Begins where `options` say.
    pub(super) fn open(path: PathBuf, options: &LogOptions) -> Result<Self, RuntimeError> {
        // What is written from now on does not make the last lines more, unless they are followed.
        let lines = Lines::new(options.since, options.tail.filter(|_| !options.follow));
        let mut reader = Self { path, file: None, position: 0, is_old: false, begun: Vec::new(), lines };
        reader.open_file().map_err(|error| reader.error(&error))?;
        if let (Some(file), Some(count)) = (&mut reader.file, options.tail) {
            let start = file.metadata().and_then(|metadata| tail_start(file, metadata.len(), count));
            reader.position = start.map_err(|error| reader.error(&error))?;
        }
        Ok(reader)
    }

    fn open_file(&mut self) -> io::Result<()> {
        (self.position, self.is_old) = (0, false);
        self.file = match File::open(&self.path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// The next lines; none if there are none now. A file in the place of the one that is read is begun a call later than that, as the
    /// runtime may still write what it had read before the newer one was made (containerd does, 16 KiB at most).
    pub(super) fn read(&mut self) -> Result<Vec<LogLine>, RuntimeError> {
        let mut lines = Vec::new();
        loop {
            match self.read_block(&mut lines) {
                Ok(0) if self.is_old => {
                    self.begun.clear();
                    self.open_file().map_err(|error| self.error(&error))?;
                }
                Ok(0) => {
                    self.is_old = self.was_replaced();
                    return Ok(lines);
                }
                Ok(_) if lines.is_empty() => {}
                Ok(_) => return Ok(lines),
                Err(error) => return Err(self.error(&error)),
            }
        }
    }

    /// Whether there is a newer file to go on with.
    pub(super) fn has_next(&self) -> bool {
        self.is_old
    }

    /// What was begun and will not go on.
    pub(super) fn rest(&mut self) -> Vec<LogLine> {
        self.lines.rest().collect()
    }

    fn read_block(&mut self, lines: &mut Vec<LogLine>) -> io::Result<usize> {
        if self.file.is_none() {
            self.open_file()?;
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        let mut block = vec![0; BLOCK];
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(&mut block)?;
        self.position += count as u64;
        self.is_old &= count == 0;
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
        let Some(Ok(ours)) = self.file.as_ref().map(File::metadata) else { return false };
        (there.dev(), there.ino()) != (ours.dev(), ours.ino()) || there.len() < self.position
    }

    fn error(&self, error: &io::Error) -> RuntimeError {
        RuntimeError::Failed(format!("failed to read log file {:?}: {error}", self.path.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(file: &mut File, content: &str) {
        writeln!(file, "2020-01-01T00:00:00Z stdout F {content}").unwrap();
    }

    fn read(reader: &mut Reader) -> Vec<String> {
        let lines = reader.read().unwrap();
        lines.into_iter().map(|line| String::from_utf8(line.line.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_file_that_was_moved_away_is_read_to_the_end_before_the_next_one() {
        let folder = std::env::temp_dir().join(format!("orchestra-reader-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("0.log");
        let mut reader = Reader::open(path.clone(), &LogOptions::default()).unwrap();
        assert_eq!(read(&mut reader), [""; 0], "the runtime has not made it yet");
        let mut old = File::create(&path).unwrap();
        write(&mut old, "one");
        assert_eq!(read(&mut reader), ["one"]);
        fs::rename(&path, folder.join("0.log.old")).unwrap();
        assert_eq!(read(&mut reader), [""; 0], "there is no other one");
        let mut new = File::create(&path).unwrap();
        write(&mut new, "three");
        assert_eq!(read(&mut reader), [""; 0], "the runtime may not have written all of the old one");
        assert!(reader.has_next());
        write(&mut old, "two");
        assert_eq!(read(&mut reader), ["two"]);
        assert_eq!(read(&mut reader), [""; 0]);
        assert_eq!(read(&mut reader), ["three"]);
        assert!(!reader.has_next());
        fs::remove_dir_all(&folder).unwrap();
    }
}
