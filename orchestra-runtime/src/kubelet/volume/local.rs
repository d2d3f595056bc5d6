//! Local volumes: folders of the node that somebody made for a volume (`pkg/volume/local`).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, symlink},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use super::{PodFolder, VolumeError, ownership, set_up::Group};

const PLUGIN: &str = "local-volume";

/// Checks that `path` is there, and that the volume called `name` can be mounted from it.
pub(super) fn check(path: &Path, name: &str) -> Result<(), VolumeError> {
    let failed = |why: String| {
        VolumeError::whole(format!("MountVolume.NewMounter initialization failed for volume {name:?} : {why}"))
    };
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed(format!("path \"{}\" does not exist", path.display())),
        _ => failed(error.to_string()),
    })?;
    if found.is_dir() {
        return Ok(());
    }
    let why = match found.file_type().is_block_device() {
        true => "block devices are not supported by this kubelet, mount their file system and name the folder",
        false => "only directory and block device are supported",
    };
    Err(failed(why.to_owned()))
}

/// Makes the volume called `name` the pod's, and returns what to tell of it. A link in the pod's folder, where Kubernetes mounts the volume, says
/// that the pod has it, also to a kubelet that starts anew.
///
/// A volume is given to the group of the first pod that has it, if that pod can write to it. Pods that come while others have it take it as it is.
pub(super) fn set_up(
    path: &Path,
    name: &str,
    read_only: bool,
    folder: &PodFolder,
    group: Group,
) -> io::Result<Option<String>> {
    let link = folder.volume(PLUGIN, name);
    fs::create_dir_all(link.parent().unwrap_or(&link))?;
    // Of pods that start at the same time one is the first.
    let pods = File::open(folder.parent())?;
    flock(&pods, FlockOperation::LockExclusive)?;
    if link.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let mut told = None;
    if let Some(id) = group.id {
        if folder.others_have(PLUGIN, name)? {
            told = differs(name, id, fs::metadata(path)?.gid());
        } else if !read_only {
            ownership::give(path, id, group.only_on_mismatch)?;
        }
    }
    symlink(path, link)?;
    Ok(told)
}

fn differs(name: &str, wanted: u32, found: u32) -> Option<String> {
    let message = format!("The requested fsGroup is {wanted}, but the volume {name} has GID {found}. ");
    (wanted != found).then(|| message + "The volume may not be shareable.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{super::testing::Folder, *};

    #[test]
    fn only_a_folder_that_is_there_can_be_mounted() {
        let folder = Folder::new();
        let file = folder.path().join("f");
        fs::write(&file, "").unwrap();
        assert_eq!(check(folder.path(), "v"), Ok(()));
        let head = "MountVolume.NewMounter initialization failed for volume \"v\" : ";
        let message = |path: &Path| check(path, "v").unwrap_err().to_string();
        assert_eq!(message(&file), format!("{head}only directory and block device are supported"));
        let absent = folder.path().join("no");
        assert_eq!(message(&absent), format!("{head}path \"{}\" does not exist", absent.display()));
    }

    /// A volume with a file in it, and the kubelet's folder.
    struct Node(Folder);

    impl Node {
        fn new() -> Self {
            let node = Self(Folder::new());
            fs::create_dir(node.volume()).expect("a volume");
            fs::write(node.file(), "").expect("a file");
            node.take_back();
            node
        }

        fn volume(&self) -> std::path::PathBuf {
            self.0.path().join("volume")
        }

        fn file(&self) -> std::path::PathBuf {
            self.volume().join("f")
        }

        /// Makes the file its owner's only, as it was.
        fn take_back(&self) {
            fs::set_permissions(self.file(), fs::Permissions::from_mode(0o600)).expect("changed");
        }

        fn folder(&self, pod: &str) -> PodFolder {
            PodFolder::of(self.0.path(), pod).expect("a folder")
        }

        /// Sets up the volume for a pod: what is told, and whether the file was given to its group.
        fn set_up(&self, pod: &str, read_only: bool, more: u32) -> (Option<String>, bool) {
            let id = Some(fs::metadata(self.volume()).expect("a volume").gid() + more);
            let group = Group { id, only_on_mismatch: false };
            let told = set_up(&self.volume(), "v", read_only, &self.folder(pod), group).expect("set up");
            (told, fs::metadata(self.file()).expect("a file").permissions().mode() & 0o777 == 0o660)
        }
    }

    #[test]
    fn the_first_pod_that_has_a_volume_gives_it_to_its_group() {
        let node = Node::new();
        assert_eq!(node.set_up("a", false, 0), (None, true));
        node.take_back();
        // The same pod, as a kubelet that starts anew sees it; and another.
        assert_eq!(node.set_up("a", false, 0), (None, false));
        assert_eq!(node.set_up("b", false, 0), (None, false));
        let gid = fs::metadata(node.volume()).unwrap().gid();
        let (told, given) = node.set_up("c", false, 1);
        let message = format!("The requested fsGroup is {}, but the volume v has GID {gid}. ", gid + 1);
        assert_eq!((told, given), (Some(message + "The volume may not be shareable."), false));
        for pod in ["a", "b", "c"] {
            fs::remove_dir_all(node.folder(pod).path()).unwrap();
        }
        assert!(node.file().exists());
        assert_eq!(node.set_up("d", false, 0), (None, true));
    }

    #[test]
    fn a_volume_that_is_only_read_is_left_as_it_is() {
        let node = Node::new();
        assert_eq!(node.set_up("a", true, 0), (None, false));
    }
}
