//! What containers wrote into volumes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{Places, VolumeError, blocking, kernel};
use crate::kubelet::container::Missing;

/// How large a file may be that the kubelet reads, in bytes.
const MAX_SIZE: u64 = 64 << 10;

/// Reads files, by volume and path. Those of volumes that are not there are left out.
pub(in crate::kubelet) async fn read_files(
    places: &Places,
    files: BTreeSet<(String, String)>,
) -> BTreeMap<(String, String), Result<String, Missing>> {
    let mut found = BTreeMap::new();
    for (volume, path) in files {
        let Some(location) = places.get(&volume) else { continue };
        let (root, file) = (location.path.clone(), PathBuf::from(&path));
        let text = blocking(move || Ok(read(&root, &file).map_err(|error| missing(&file, &error)))).await;
        let text = text.unwrap_or_else(|VolumeError { message, .. }| Err(Missing { message, not_found: false }));
        found.insert((volume, path), text);
    }
    found
}

fn read(root: &Path, file: &Path) -> io::Result<String> {
    let text = kernel::read_beneath(root, file, MAX_SIZE)?;
    String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn missing(file: &Path, error: &io::Error) -> Missing {
    let message = format!("failed to open environment variable file {:?}: {error}", file.display().to_string());
    Missing { message, not_found: error.kind() == io::ErrorKind::NotFound }
}
