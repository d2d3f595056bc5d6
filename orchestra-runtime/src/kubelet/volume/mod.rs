//! Volumes: what a pod's containers mount, made on the node before they start, kept up to date while they run, and taken away after.
//!
//! ```text
//!   pod ──► plan: what is each volume to be? ◄── ConfigMaps, Secrets, claims, tokens (API server)
//!             │
//!             ▼
//!           set_up: folders, files, mounts below ROOT/pods/UID ──► mounts: what the runtime shows to a container
//! ```
//! A kubelet without a folder of its own, as those of simulated nodes, does nothing of this.

mod atomic;
mod claim;
mod empty_dir;
mod file;
mod folder;
mod host_path;
mod kernel;
mod local;
mod mounts;
mod ownership;
mod payload;
mod plan;
mod projected;
mod remove;
mod set_up;
mod sub_path;
mod tear_down;
mod token;
mod unsupported;
mod walk;

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use orchestra_core::work_queue::Backoff;
use tracing::warn;

pub(super) use self::{
    file::read_files,
    folder::PodFolder,
    mounts::{Around, mounts},
    set_up::{Places, Volumes, is_limited},
    tear_down::{remove_orphans, remove_pod, remove_volumes},
};

/// The delays between attempts to make the kubelet's folder.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(10) };

/// Why a volume is not there, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct VolumeError {
    message: String,
    /// The message says already which volume it is about, and what was tried.
    whole: bool,
}

impl VolumeError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), whole: false }
    }

    /// A message that says all.
    fn whole(message: String) -> Self {
        Self { message, whole: true }
    }

    /// The same, of a volume that has another name than the pod's.
    fn named(self, volume: &str) -> Self {
        Self::whole(self.about(volume))
    }

    /// What events say, of the volume of this name.
    fn about(self, volume: &str) -> String {
        if self.whole {
            self.message
        } else {
            format!("MountVolume.SetUp failed for volume {volume:?} : {}", self.message)
        }
    }
}

impl From<io::Error> for VolumeError {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Makes a folder, unless it is there.
pub(super) async fn make_folder(path: PathBuf) -> Result<(), VolumeError> {
    blocking(move || Ok(std::fs::create_dir_all(path)?)).await
}

/// The bytes on the node's disk that the volumes of a pod take.
pub(super) fn usage_of_volumes(root: &Path, uid: &str) -> io::Result<u64> {
    disk_usage(&PodFolder::of(root, uid)?.volumes())
}

/// The bytes on the node's disk that a folder takes: nothing if it is not there.
pub(super) fn disk_usage(folder: &Path) -> io::Result<u64> {
    match empty_dir::usage(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        other => other,
    }
}

/// The folder of a kubelet, as soon as it can be made.
pub(super) async fn root(path: PathBuf) -> PathBuf {
    let failed = |error: &io::Error| warn!(path = %path.display(), %error, "the kubelet has no folder, trying again");
    BACKOFF.retry(|| std::future::ready(make_root(&path)), failed).await
}

/// Makes the folder of a kubelet, and says where it really is: that is what mounts are known by.
fn make_root(path: &Path) -> io::Result<PathBuf> {
    let pods = folder::all_of(path);
    std::fs::create_dir_all(&pods)?;
    // What pods keep here is nobody else's.
    std::fs::set_permissions(&pods, std::fs::Permissions::from_mode(0o750))?;
    path.canonicalize()
}

/// Does what may wait for a disk, without holding up others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(VolumeError::new(error.to_string())),
    }
}

#[cfg(test)]
mod testing {
    use std::{
        fs::File,
        io::Write,
        path::{Path, PathBuf},
        sync::atomic::{AtomicU32, Ordering},
    };

    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    static NEXT: AtomicU32 = AtomicU32::new(0);

    /// A folder that goes with the test.
    pub(super) struct Folder(PathBuf);

    impl Folder {
        pub(super) fn new() -> Self {
            let name = format!("orchestra-volume-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        pub(super) fn path(&self) -> &Path {
            &self.0
        }

        /// A file with this content, in so many folders; no path can name it if they are 600.
        pub(super) fn deep_file(&self, depth: usize, content: &[u8]) -> File {
            let open = OFlags::DIRECTORY | OFlags::CLOEXEC;
            let mut folder = openat(CWD, &self.0, open, Mode::empty()).expect("a folder");
            for _ in 0..depth {
                mkdirat(&folder, "a-folder", Mode::RWXU).expect("a folder in it");
                folder = openat(&folder, "a-folder", open, Mode::empty()).expect("that folder");
            }
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            let mut file = File::from(openat(&folder, "f", flags, Mode::RUSR | Mode::WUSR).expect("a file"));
            file.write_all(content).expect("written");
            file
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
