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
    /// What kept the last look from finding what is in it; it is warned of once.
    trouble: Option<io::ErrorKind>,
}

/// What came of a look.
#[derive(Debug)]
pub(in crate::kubelet) struct Look {
    pub(in crate::kubelet) folder: Folder,
    /// The pods of the files in the order of their names; `None` if the folder could not be read. One that does not exist has none.
    pub(in crate::kubelet) pods: Option<Vec<Arc<Pod>>>,
    /// Whether those are all. They are not while a file is there of which it was never known what it says: it cannot be read, or may be
    /// written only in part.
    pub(in crate::kubelet) is_all: bool,
}

/// A file as it was last read.
#[derive(Debug, Default)]
struct File {
    /// When it was read, if it ever was.
    stamp: Option<Stamp>,
    /// The pod that it makes, if it makes one.
    pod: Option<Arc<Pod>>,
    /// Whether it says something else than a pod for sure.
    makes_none: bool,
    /// Why it could not be read since; it is warned of once.
    trouble: Option<io::ErrorKind>,
}

/// What a file says.
enum Said {
    Pod(Box<Pod>),
    /// Something else.
    Nothing,
    /// Something that may become a pod when it is written to its end.
    Half,
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
        Self { path, node: node.to_owned(), files: BTreeMap::new(), trouble: None }
    }

    /// Looks at the folder. A file that is no manifest is warned about once, and is as good as not there; one that cannot be read, or may
    /// be half of a manifest, is as it was before.
    pub(in crate::kubelet) async fn look(mut self, now: Timestamp) -> Look {
        let looking = tokio::task::spawn_blocking(move || {
            let pods = self.read(now).is_ok().then(|| self.pods());
            let is_all = pods.is_some() && self.files.values().all(|file| file.makes_none || file.pod.is_some());
            Look { folder: self, pods, is_all }
        });
        match looking.await {
            Ok(found) => found,
            // Only a runtime that stops does not do it.
            Err(_) => std::future::pending().await,
        }
    }

    /// The same some time later.
    pub(in crate::kubelet) async fn look_again(self, now: impl Fn() -> Timestamp) -> Look {
        sleep(PERIOD).await;
        self.look(now()).await
    }

    fn read(&mut self, now: Timestamp) -> io::Result<()> {
        let found = self.entries();
        let trouble = found.as_ref().err().map(io::Error::kind);
        if let Err(error) = &found
            && self.trouble != trouble
        {
            warn!(folder = %self.path.display(), %error, "the folder of static pods cannot be read");
        }
        self.trouble = trouble;
        let entries = match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            found => found?,
        };
        let mut before = std::mem::take(&mut self.files);
        for (path, stamp) in entries {
            let known = before.remove(&path).unwrap_or_default();
            let file = self.file(&path, stamp, known, now);
            self.files.insert(path, file);
        }
        Ok(())
    }

    /// The files, and what their file system says of them.
    fn entries(&self) -> io::Result<Vec<(PathBuf, io::Result<Stamp>)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => entries.push((entry.path(), Ok(Stamp::of(&metadata)))),
                Ok(_) => debug!(path = %entry.path().display(), "not a file, and so no static pod"),
                // It went in between, or is a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    debug!(path = %entry.path().display(), %error, "not a file, and so no static pod");
                }
                Err(error) => entries.push((entry.path(), Err(error))),
            }
        }
        Ok(entries)
    }

    /// A file as it is now, or as it was last read if it cannot be read.
    fn file(&self, path: &Path, stamp: io::Result<Stamp>, known: File, now: Timestamp) -> File {
        let read = match stamp {
            Ok(stamp) if known.stamp == Some(stamp) => return File { trouble: None, ..known },
            Ok(stamp) => content(path).map(|content| (stamp, content)),
            Err(error) => Err(error),
        };
        match read {
            Ok((stamp, content)) => {
                let (pod, makes_none) = match self.pod(path, content, now) {
                    Said::Pod(pod) => (Some(Arc::from(pod)), false),
                    Said::Nothing => (None, true),
                    Said::Half => (known.pod, known.makes_none),
                };
                File { stamp: Some(stamp), pod, makes_none, trouble: None }
            }
            Err(error) => {
                if known.trouble != Some(error.kind()) {
                    warn!(file = %path.display(), %error, "manifest cannot be read");
                }
                File { trouble: Some(error.kind()), ..known }
            }
        }
    }

    fn pod(&self, path: &Path, content: Vec<u8>, now: Timestamp) -> Said {
        let name = path.display().to_string();
        if content.len() as u64 > MAX_SIZE {
            warn!(file = name, "manifest has more than 10 MiB");
            return Said::Nothing;
        }
        let text = match String::from_utf8(content) {
            Ok(text) => text,
            Err(error) => {
                warn!(file = name, %error, "manifest is no text");
                // Without a length it is a character of which there is more to come.
                return if error.utf8_error().error_len().is_none() { Said::Half } else { Said::Nothing };
            }
        };
        match manifest::pod(&name, &text, &self.node, now) {
            Ok(pod) => Said::Pod(Box::new(pod)),
            Err(error) => {
                warn!(file = name, %error, "manifest makes no pod");
                if error.may_be_half() { Said::Half } else { Said::Nothing }
            }
        }
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

/// What a file has, and of one that is too large a byte more than it may have.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const MANIFEST: &str =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: nginx}]}\n";

    /// A folder of the file system that goes with the test.
    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("orchestra-static-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    /// The pods' names, after another look.
    async fn names(folder: Folder) -> (Folder, Option<Vec<String>>) {
        let Look { folder, pods, .. } = folder.look(Timestamp::UNIX_EPOCH).await;
        let name = |pod: &Arc<Pod>| pod.metadata.name.clone().unwrap();
        (folder, pods.map(|pods| pods.iter().map(name).collect()))
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_read_says_nothing_and_one_that_is_missing_says_none() {
        let place = Place::new("folder");
        let path = place.0.join("manifests");
        let folder = Folder::new(path.clone(), "n1");
        let (folder, found) = names(folder).await;
        assert_eq!(found, Some(vec![]));
        fs::write(&path, "no folder").unwrap();
        let (folder, found) = names(folder).await;
        assert_eq!(found, None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("web.yaml"), MANIFEST).unwrap();
        assert_eq!(names(folder).await.1, Some(vec!["web-n1".to_owned()]));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_as_it_was() {
        let place = Place::new("file");
        let file = place.0.join("web.yaml");
        fs::write(&file, MANIFEST).unwrap();
        let (mut folder, first) = names(Folder::new(place.0.clone(), "n1")).await;
        assert_eq!(first, Some(vec!["web-n1".to_owned()]));
        // Nothing is at the beginning of a process's memory, and no end is to a link to itself.
        for target in ["/proc/self/mem", "web.yaml"] {
            fs::remove_file(&file).unwrap();
            symlink(target, &file).unwrap();
            let (same, found) = names(folder).await;
            assert_eq!(found, Some(vec!["web-n1".to_owned()]), "{target}");
            folder = same;
        }
        fs::remove_file(&file).unwrap();
        fs::write(&file, MANIFEST.replace("web", "web2")).unwrap();
        let (folder, found) = names(folder).await;
        assert_eq!(found, Some(vec!["web2-n1".to_owned()]));
        // Here it is known that nothing is there.
        fs::remove_file(&file).unwrap();
        symlink("nothing", &file).unwrap();
        assert_eq!(names(folder).await.1, Some(vec![]));
    }

    #[tokio::test]
    async fn a_file_of_which_half_is_there_is_as_it_was_and_at_first_not_known() {
        let place = Place::new("half");
        let file = place.0.join("web.yaml");
        let look = async |folder: Folder| {
            let Look { folder, pods, is_all } = folder.look(Timestamp::UNIX_EPOCH).await;
            (folder, (pods.unwrap().len(), is_all))
        };
        let mut folder = Folder::new(place.0.clone(), "n1");
        let half = &MANIFEST[..MANIFEST.len() - 20];
        let other = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
        fs::write(place.0.join("other.yaml"), other).unwrap();
        for (text, expected) in [
            ("", (0, false)),
            (half, (0, false)),
            (MANIFEST, (1, true)),
            (half, (1, true)),
            ("", (1, true)),
            (other, (0, true)),
            (half, (0, true)),
        ] {
            fs::write(&file, text).unwrap();
            let (same, found) = look(folder).await;
            assert_eq!(found, expected, "{text:?}");
            folder = same;
        }
    }
}
