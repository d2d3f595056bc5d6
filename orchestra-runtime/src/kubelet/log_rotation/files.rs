//! The files of one log: `0.log`, which the runtime writes; `0.log.20060102-150405`, the last one that was moved away, which readers may
//! still have open; and the older ones, `0.log.20060102-150405.gz`.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

use super::LogRotation;

const COMPRESSED: &str = ".gz";
/// What is not compressed to its end.
const UNFINISHED: &str = ".tmp";

/// A log that the runtime is to begin anew.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    log: PathBuf,
    /// Where what was written so far is now; `None` if that was moved before.
    to: Option<PathBuf>,
}

impl Moved {
    /// Undoes it, as the runtime goes on with the file that was moved.
    pub(super) fn back(self) {
        // What cannot be moved back stays where it is, and the next round has the runtime begin anew.
        let _ = self.to.map(|to| fs::rename(to, self.log));
    }
}

/// Moves `log` away if it is as large as it may become.
pub(super) fn move_away(log: PathBuf, limits: LogRotation, suffix: &str) -> io::Result<Option<Moved>> {
    match fs::metadata(&log) {
        // A kubelet before this one moved it and came no further.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Moved { log, to: None })),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.len() < limits.max_size => return Ok(None),
        Ok(_) => {}
    }
    let to = with_suffix(&log, &format!(".{suffix}"));
    if to.exists() {
        // Twice in one second: it can wait.
        return Ok(None);
    }
    // Beside the present one, and the one that is moved now.
    for old in surplus(moved_before(&log)?, limits.max_files.saturating_sub(2)) {
        compress(&old)?;
    }
    fs::rename(&log, &to)?;
    Ok(Some(Moved { log, to: Some(to) }))
}

/// Removes all but the newest `keep` files, and returns those of them that are not compressed.
fn surplus(mut files: Vec<PathBuf>, keep: usize) -> Vec<PathBuf> {
    files.sort();
    let newest = files.split_off(files.len().saturating_sub(keep));
    for old in files {
        // Who removes it first does not matter.
        let _ = fs::remove_file(old);
    }
    newest.into_iter().filter(|file| !ends_with(file, COMPRESSED)).collect()
}

/// The files that were moved away. Leftovers of a compression that did not come to its end are removed.
fn moved_before(log: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = log.parent().unwrap_or(Path::new("/"));
    let prefix = with_suffix(log, ".");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.as_os_str().as_encoded_bytes().starts_with(prefix.as_os_str().as_encoded_bytes()) {
            all.push(path);
        }
    }
    let is_left_over = |path: &PathBuf| ends_with(path, UNFINISHED) || all.contains(&with_suffix(path, COMPRESSED));
    let (left_over, files): (Vec<_>, Vec<_>) = all.iter().cloned().partition(is_left_over);
    left_over.into_iter().try_for_each(fs::remove_file)?;
    Ok(files)
}

fn compress(file: &Path) -> io::Result<()> {
    let unfinished = with_suffix(file, UNFINISHED);
    let mut encoder = GzEncoder::new(File::create(&unfinished)?, Compression::default());
    io::copy(&mut File::open(file)?, &mut encoder)?;
    encoder.finish()?;
    fs::rename(&unfinished, with_suffix(file, COMPRESSED))?;
    fs::remove_file(file)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{io::Read, time::Duration};

    use flate2::read::GzDecoder;

    use super::*;

    const LIMITS: LogRotation = LogRotation { max_size: 3, max_files: 4, period: Duration::ZERO };

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("orchestra-log-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn log(&self) -> PathBuf {
            self.0.join("0.log")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_log_is_moved_when_it_is_large_and_the_oldest_go() {
        let folder = Folder::new("moved");
        fs::write(folder.log(), "ab").unwrap();
        assert_eq!(move_away(folder.log(), LIMITS, "1").unwrap(), None);
        for number in 1..=5 {
            fs::write(folder.log(), format!("text {number}")).unwrap();
            assert!(move_away(folder.log(), LIMITS, &number.to_string()).unwrap().is_some());
        }
        assert_eq!(folder.names(), ["0.log.3.gz", "0.log.4.gz", "0.log.5"]);
        let mut text = String::new();
        GzDecoder::new(File::open(folder.0.join("0.log.4.gz")).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text 4");
        // What was not said to the runtime is said now.
        let again = move_away(folder.log(), LIMITS, "6").unwrap();
        assert_eq!(again, Some(Moved { log: folder.log(), to: None }));
    }

    #[test]
    fn what_the_runtime_did_not_take_is_undone() {
        let folder = Folder::new("undone");
        fs::write(folder.log(), "text").unwrap();
        fs::write(folder.0.join("0.log.0.tmp"), "half").unwrap();
        fs::write(folder.0.join("10.log.0"), "another's").unwrap();
        move_away(folder.log(), LIMITS, "1").unwrap().unwrap().back();
        assert_eq!(folder.names(), ["0.log", "10.log.0"]);
        fs::write(folder.0.join("0.log.1"), "of this second").unwrap();
        assert_eq!(move_away(folder.log(), LIMITS, "1").unwrap(), None);
    }
}
