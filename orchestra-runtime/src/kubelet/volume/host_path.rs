//! Folders, files and devices of the node (`pkg/volume/hostpath`).

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

use super::VolumeError;

/// Checks that `path` is what the volume says it is, and makes it where that is asked for.
pub(super) fn check(path: &Path, kind: &str) -> Result<(), VolumeError> {
    if kind.is_empty() {
        return Ok(());
    }
    let failed = |error: io::Error| VolumeError::new(format!("hostPath type check failed: {error}"));
    let found = match fs::metadata(path) {
        Ok(found) => Some(found.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    match (kind, found) {
        ("DirectoryOrCreate", None) => {
            fs::create_dir_all(path).map_err(failed)?;
            return fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed);
        }
        ("FileOrCreate", None) => {
            fs::File::create_new(path).map_err(failed)?;
            return fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(failed);
        }
        _ => {}
    }
    let is = |test: fn(&fs::FileType) -> bool| found.as_ref().is_some_and(test);
    let (good, what) = match kind {
        "Directory" | "DirectoryOrCreate" => (is(fs::FileType::is_dir), "directory"),
        "File" | "FileOrCreate" => (is(fs::FileType::is_file), "file"),
        "Socket" => (is(FileTypeExt::is_socket), "socket file"),
        "CharDevice" => (is(FileTypeExt::is_char_device), "character device"),
        "BlockDevice" => (is(FileTypeExt::is_block_device), "block device"),
        other => return Err(VolumeError::new(format!("{other} is an invalid volume type"))),
    };
    if good {
        Ok(())
    } else {
        Err(VolumeError::new(format!("hostPath type check failed: {} is not a {what}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::{super::testing::Folder, *};

    #[test]
    fn each_type_is_checked() {
        let folder = Folder::new();
        let (file, socket, none) = (folder.path().join("f"), folder.path().join("s"), folder.path().join("no"));
        fs::write(&file, "").unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let null = Path::new("/dev/null");
        for (path, kind, wrong) in [
            (folder.path(), "Directory", None),
            (&file, "Directory", Some("directory")),
            (&file, "DirectoryOrCreate", Some("directory")),
            (&file, "File", None),
            (folder.path(), "File", Some("file")),
            (folder.path(), "FileOrCreate", Some("file")),
            (&none, "File", Some("file")),
            (&socket, "Socket", None),
            (&file, "Socket", Some("socket file")),
            (null, "CharDevice", None),
            (null, "BlockDevice", Some("block device")),
            (&file, "CharDevice", Some("character device")),
            (&none, "", None),
        ] {
            let result = check(path, kind).map_err(|error| error.to_string());
            let message = wrong.map(|what| format!("hostPath type check failed: {} is not a {what}", path.display()));
            assert_eq!(result.err(), message, "{kind}");
        }
        assert!(check(&none, "Floppy").unwrap_err().to_string().starts_with("Floppy is an invalid"));
    }

    #[test]
    fn what_is_to_be_made_is_made() {
        let folder = Folder::new();
        check(&folder.path().join("d/e"), "DirectoryOrCreate").unwrap();
        check(&folder.path().join("d/f"), "FileOrCreate").unwrap();
        assert!(folder.path().join("d/e").is_dir() && folder.path().join("d/f").is_file());
    }
}
