use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orchestra_core::ObjectKey;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::manifest;

/// How often the folder is looked at. Kubernetes' kubelet is told of changes, and looks every 20 s to be sure; here looking is all there is,
/// and costs little.
const PERIOD: Duration = Duration::from_secs(1);
/// How large a manifest may be, in bytes, as in Kubernetes.
const MAX_SIZE: u64 = 10 << 20;

/// The folder of a node's manifests: one pod a file. Files whose names begin with a dot, and folders, are none.
#[derive(Debug)]
pub(in crate::kubelet) struct Folder {
    path: PathBuf,
    node: String,
    files: BTreeMap<PathBuf, File>,
    /// Whether the last look found the folder.
    is_there: bool,
}

/// A file as it was read.
#[derive(Debug)]
struct File {
    stamp: Stamp,
    /// The pod that it makes, if it makes one.
    pod: Option<Arc<Pod>>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), size: metadata.len(), changed: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

impl Folder {
    pub(in crate::kubelet) fn new(path: PathBuf, node: &str) -> Self {
        Self { path, node: node.to_owned(), files: BTreeMap::new(), is_there: true }
    }

    /// Looks at the folder, and returns it with the pods of its files in the order of their names. A file that is no manifest is warned
    /// about once, and is as good as not there.
    pub(in crate::kubelet) async fn look(mut self, now: Timestamp) -> (Self, Vec<Arc<Pod>>) {
        let looking = tokio::task::spawn_blocking(move || {
            self.read(now);
            let pods = self.pods();
            (self, pods)
        });
        match looking.await {
            Ok(found) => found,
            // Only a runtime that stops does not do it.
            Err(_) => std::future::pending().await,
        }
    }

    /// The same some time later.
    pub(in crate::kubelet) async fn look_again(self, now: impl Fn() -> Timestamp) -> (Self, Vec<Arc<Pod>>) {
        sleep(PERIOD).await;
        self.look(now()).await
    }

    fn read(&mut self, now: Timestamp) {
        let entries = match self.entries() {
            Ok(entries) => {
                self.is_there = true;
                entries
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if std::mem::take(&mut self.is_there) {
                    warn!(folder = %self.path.display(), "the folder of static pods does not exist");
                }
                Vec::new()
            }
            Err(error) => {
                // What is not known to be gone runs on.
                warn!(folder = %self.path.display(), %error, "the folder of static pods cannot be read");
                return;
            }
        };
        let mut before = std::mem::take(&mut self.files);
        for (path, metadata) in entries {
            let stamp = Stamp::of(&metadata);
            let known = before.remove(&path).filter(|file| file.stamp == stamp);
            let file = known.unwrap_or_else(|| File { stamp, pod: self.pod(&path, now).map(Arc::new) });
            self.files.insert(path, file);
        }
    }

    fn entries(&self) -> io::Result<Vec<(PathBuf, Metadata)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => entries.push((entry.path(), metadata)),
                Ok(_) => debug!(path = %entry.path().display(), "not a file, and so no static pod"),
                // It went in between, or is a link to nothing.
                Err(error) => debug!(path = %entry.path().display(), %error, "not a file, and so no static pod"),
            }
        }
        Ok(entries)
    }

    fn pod(&self, path: &Path, now: Timestamp) -> Option<Pod> {
        let name = path.display().to_string();
        let text = text(path).inspect_err(|error| warn!(file = name, %error, "manifest cannot be read")).ok()?;
        let made = manifest::pod(&name, &text, &self.node, now);
        made.inspect_err(|error| warn!(file = name, %error, "manifest makes no pod")).ok()
    }

    /// The pods, each name once: of two files with a pod of one name the first counts.
    fn pods(&self) -> Vec<Arc<Pod>> {
        let mut names = BTreeMap::new();
        let mut pods = Vec::new();
        for (path, file) in &self.files {
            let Some(pod) = &file.pod else { continue };
            if let Some(first) = names.insert(ObjectKey::of(&**pod), path) {
                debug!(file = %path.display(), first = %first.display(), "two manifests have pods of one name");
                continue;
            }
            pods.push(Arc::clone(pod));
        }
        pods
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 10 MiB"));
    }
    Ok(text)
}
