//! What the disk can do by itself, for comparison.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::Result;

const TIME: Duration = Duration::from_secs(2);

/// A folder that goes with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(within: &Path) -> Result<Self> {
        let path = within.join(format!("orchestra-store-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The rates of the disk.
pub(crate) struct Disk {
    /// Of one KiB each, a second.
    pub(crate) syncs: f64,
    /// A second, of 64 KiB at once.
    pub(crate) megabytes: f64,
}

impl Disk {
    /// How many commits a second of values of `bytes` bytes these rates allow, if `callers` at once share each fsync and nothing
    /// else takes time: as many as the fsyncs allow, or the bytes, whichever is less.
    pub(crate) fn limit(&self, callers: u64, bytes: usize) -> f64 {
        let by_syncs = self.syncs * callers as f64;
        let by_bytes = self.megabytes * 1e6 / bytes as f64;
        by_syncs.min(by_bytes)
    }
}

pub(crate) fn measure(folder: &Folder) -> Result<Disk> {
    let syncs = appended(&folder.path("syncs"), 1 << 10)?;
    let megabytes = appended(&folder.path("bytes"), 64 << 10)? * 65_536.0 / 1e6;
    Ok(Disk { syncs, megabytes })
}

/// How often a second `size` bytes are appended and on the disk.
fn appended(path: &Path, size: usize) -> Result<f64> {
    let mut file = File::create(path)?;
    let block = vec![b'x'; size];
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < TIME {
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}
