//! A store's folder: whose it is, in which format, and that no other process is in it.
//!
//! ```text
//!   lock           locked while the store is open
//!   format         the version of all that follows, written before it (by a restore: after it)
//!   acknowledged   the newest revision that was acknowledged: `watermark`
//!   data.redb      everything but the newest groups: `engine`
//!   log            the newest groups; since format 2: `log`
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{engine, error::OpenError, log, watermark};

const LOCK: &str = "lock";
const FORMAT: &str = "format";
const FORMAT_BEING_WRITTEN: &str = "format.new";
/// What is in a folder that is nobody's: what is left of a store whose making was interrupted, and what a file system puts
/// into an empty folder.
const NOTHING: [&str; 7] =
    [LOCK, FORMAT_BEING_WRITTEN, watermark::NAME, log::BEING_MADE, log::NAME, engine::BEING_MADE, "lost+found"];
const TITLE: &str = "orchestra durable store, format ";
/// The format that is written.
pub(super) const VERSION: u64 = 2;

/// A locked folder. Dropping it unlocks.
pub(super) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Locks the folder, which is made if it is missing.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(OpenError::io(path))?;
        let file = path.join(LOCK);
        // Not even a lock is to be left in the folder of others.
        if ![&file, &path.join(FORMAT)].into_iter().any(|known| known.exists()) {
            require_nothing(path)?;
        }
        let lock =
            File::options().write(true).create(true).truncate(false).open(&file).map_err(OpenError::io(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(OpenError::io(file)(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The format of the store whose folder this is, one that is known; `None` if it is nobody's yet.
    pub(super) fn format(&self) -> Result<Option<u64>, OpenError> {
        let file = self.path.join(FORMAT);
        let text = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.require_empty().map(|()| None),
            text => text.map_err(OpenError::io(&file))?,
        };
        let version =
            str::from_utf8(&text).ok().and_then(|text| text.strip_prefix(TITLE)?.strip_suffix('\n')?.parse().ok());
        match version {
            Some(found) if found > VERSION => {
                Err(OpenError::NewerFormat { folder: self.path.clone(), found, known: VERSION })
            }
            Some(known) if known > 0 => Ok(Some(known)),
            _ => Err(OpenError::corrupt(file, "it does not tell a format")),
        }
    }

    /// That nothing is there which somebody may miss.
    pub(super) fn require_empty(&self) -> Result<(), OpenError> {
        require_nothing(&self.path)
    }

    /// Removes what a restore that failed has made.
    pub(super) fn clear(&self) -> io::Result<()> {
        let made = [watermark::NAME, log::NAME, log::BEING_MADE, engine::NAME, engine::BEING_MADE];
        for name in [FORMAT, FORMAT_BEING_WRITTEN].into_iter().chain(made) {
            let file = self.path.join(name);
            if fs::exists(&file)? {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    /// Makes the folder a store's, durably.
    pub(super) fn declare(&self) -> Result<(), OpenError> {
        let new = self.path.join(FORMAT_BEING_WRITTEN);
        let declare = || {
            let mut file = File::create(&new)?;
            file.write_all(format!("{TITLE}{VERSION}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, self.path.join(FORMAT))?;
            sync_folder(&self.path)
        };
        declare().map_err(OpenError::io(self.path.join(FORMAT)))
    }
}

impl Drop for Folder {
    /// A lock that ends with its file would be held on by a process that is just being made, until that runs its own program.
    fn drop(&mut self) {
        self.lock.unlock().unwrap_or_default();
    }
}

fn require_nothing(path: &Path) -> Result<(), OpenError> {
    for entry in fs::read_dir(path).map_err(OpenError::io(path))? {
        let name = entry.map_err(OpenError::io(path))?.file_name();
        if !NOTHING.iter().any(|nothing| name == *nothing) {
            return Err(OpenError::NotAStore { folder: path.to_owned() });
        }
    }
    Ok(())
}

/// Opens a file that must be there, with what is in it.
pub(super) fn open_file(path: &Path) -> Result<(File, Vec<u8>), OpenError> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::corrupt(path, "it is missing")),
        file => file.map_err(OpenError::io(path))?,
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(OpenError::io(path))?;
    Ok((file, bytes))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
