use std::{
    io,
    path::{Path, PathBuf},
};

/// Where a pod's files are, laid out as Kubernetes does: tools on nodes know the paths.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct PodFolder(PathBuf);

impl PodFolder {
    /// The folder of the pod with this uid, of a kubelet whose folder is `root`.
    pub(in crate::kubelet) fn of(root: &Path, uid: &str) -> io::Result<Self> {
        if uid.is_empty() || uid.starts_with('.') || uid.contains('/') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{uid:?} is no uid of a pod")));
        }
        Ok(Self(all_of(root).join(uid)))
    }

    pub(in crate::kubelet) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    /// Where a volume is that the plug-in `kubernetes.io/<plugin>` sets up.
    pub(super) fn volume(&self, plugin: &str, name: &str) -> PathBuf {
        self.volumes().join(format!("kubernetes.io~{plugin}")).join(name)
    }

    /// The folder of all pods, which only the kubelet can use.
    pub(super) fn parent(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }

    /// Whether another pod has a volume of this plug-in that is called `name`.
    pub(super) fn others_have(&self, plugin: &str, name: &str) -> io::Result<bool> {
        for entry in std::fs::read_dir(self.parent())? {
            let other = Self(entry?.path());
            if other.0 != self.0 && other.volume(plugin, name).symlink_metadata().is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn sub_paths(&self) -> PathBuf {
        self.0.join("volume-subpaths")
    }

    /// Where a part of a volume is shown for the container's mount of this number.
    pub(super) fn sub_path(&self, volume: &str, container: &str, mount: usize) -> PathBuf {
        self.sub_paths().join(volume).join(container).join(mount.to_string())
    }

    pub(super) fn hosts_file(&self) -> PathBuf {
        self.0.join("etc-hosts")
    }

    /// The file for a container's last words.
    pub(in crate::kubelet) fn termination_message(&self, container: &str, attempt: u32) -> PathBuf {
        self.0.join("containers").join(container).join(attempt.to_string())
    }
}

/// Where the folders of all pods are.
pub(super) fn all_of(root: &Path) -> PathBuf {
    root.join("pods")
}
