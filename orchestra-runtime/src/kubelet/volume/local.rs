//! Local volumes: folders of the node that somebody made for a volume (`pkg/volume/local`).

use std::{fs, os::unix::fs::FileTypeExt, path::Path};

use super::VolumeError;

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

#[cfg(test)]
mod tests {
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
}
