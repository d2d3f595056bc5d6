//! The files of volumes that are made of API objects.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use k8s_openapi::api::core::v1::{ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret};

use super::VolumeError;
use crate::kubelet::container::{amount, metadata_field};

/// A file to be.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct File {
    pub(super) data: Vec<u8>,
    /// Its permissions.
    pub(super) mode: u32,
    /// The user it is given to.
    pub(super) owner: Option<u32>,
}

/// Files by path.
pub(super) type Payload = BTreeMap<String, File>;

/// How keys become files.
pub(super) struct Projection<'a> {
    /// Only these keys, to these paths; all keys if empty.
    pub(super) items: &'a [KeyToPath],
    pub(super) mode: i32,
    /// Whether a key may be missing.
    pub(super) optional: bool,
}

impl Projection<'_> {
    pub(super) fn of_config_map(&self, map: &ConfigMap) -> Result<Payload, VolumeError> {
        let text = map.data.iter().flatten().map(|(key, text)| (key.as_str(), text.as_bytes()));
        let binary = map.binary_data.iter().flatten().map(|(key, data)| (key.as_str(), data.0.as_slice()));
        self.project(&text.chain(binary).collect(), "configmap references non-existent config key")
    }

    pub(super) fn of_secret(&self, secret: &Secret) -> Result<Payload, VolumeError> {
        let data = secret.data.iter().flatten().map(|(key, data)| (key.as_str(), data.0.as_slice()));
        self.project(&data.collect(), "references non-existent secret key")
    }

    fn project(&self, data: &BTreeMap<&str, &[u8]>, missing: &str) -> Result<Payload, VolumeError> {
        let file = |data: &[u8], mode: Option<i32>| File {
            data: data.to_vec(),
            mode: permissions(mode.unwrap_or(self.mode)),
            owner: None,
        };
        if self.items.is_empty() {
            return Ok(data.iter().map(|(key, data)| ((*key).to_owned(), file(data, None))).collect());
        }
        let mut payload = Payload::new();
        for item in self.items {
            match data.get(item.key.as_str()) {
                Some(data) => drop(payload.insert(item.path.clone(), file(data, item.mode))),
                None if self.optional => {}
                None => return Err(VolumeError::new(format!("{missing}: {}", item.key))),
            }
        }
        Ok(payload)
    }
}

/// The pod's fields as files.
pub(super) fn of_pod(
    files: &[DownwardAPIVolumeFile],
    pod: &Pod,
    node: &BTreeMap<String, String>,
    mode: i32,
) -> Result<Payload, VolumeError> {
    let mut payload = Payload::new();
    for file in files {
        let text = match (&file.field_ref, &file.resource_field_ref) {
            (Some(field), _) => metadata_field(pod, &field.field_path),
            (None, Some(selector)) => amount(selector, pod, None, node),
            (None, None) => continue,
        };
        let data = text.map_err(|error| VolumeError::new(error.to_string()))?.into_bytes();
        let mode = permissions(file.mode.unwrap_or(mode));
        payload.insert(file.path.clone(), File { data, mode, owner: None });
    }
    Ok(payload)
}

/// The bits that say who may do what.
pub(super) fn permissions(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or_default() & 0o777
}

/// Whether all paths stay in the volume, and leave the names alone by which it is kept up to date.
pub(super) fn check(payload: &Payload) -> Result<(), VolumeError> {
    for path in payload.keys() {
        let all_plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !all_plain || path.starts_with("..") {
            return Err(VolumeError::new(format!("invalid path {path:?}: it must be relative and without '..'")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(items: Value, optional: bool) -> Result<Vec<String>, String> {
        let items: Vec<KeyToPath> = serde_json::from_value(items).unwrap();
        let map = json!({ "data": { "a": "1", "b": "2" }, "binaryData": { "c": "AAE=" } });
        let projection = Projection { items: &items, mode: 0o644, optional };
        let payload = projection.of_config_map(&serde_json::from_value(map).unwrap());
        let payload = payload.map_err(|error| error.to_string())?;
        Ok(payload.into_iter().map(|(path, file)| format!("{path} {:?} {:o}", file.data, file.mode)).collect())
    }

    #[test]
    fn keys_become_files() {
        assert_eq!(of(json!([]), false).unwrap(), ["a [49] 644", "b [50] 644", "c [0, 1] 644"]);
        let some = json!([{ "key": "b", "path": "x/y", "mode": 0o400 }, { "key": "c", "path": "c" }]);
        assert_eq!(of(some, false).unwrap(), ["c [0, 1] 644", "x/y [50] 400"]);
        let missing = json!([{ "key": "z", "path": "z" }]);
        assert_eq!(of(missing.clone(), false).unwrap_err(), "configmap references non-existent config key: z");
        assert!(of(missing, true).unwrap().is_empty());
    }

    #[test]
    fn paths_stay_in_the_volume() {
        let file = || File { data: Vec::new(), mode: 0o644, owner: None };
        for (path, good) in [
            ("a", true),
            ("a/b", true),
            ("a/../b", false),
            ("../a", false),
            ("/a", false),
            ("..data", false),
            ("", false),
        ] {
            assert_eq!(check(&Payload::from([(path.to_owned(), file())])).is_ok(), good, "{path}");
        }
    }
}
