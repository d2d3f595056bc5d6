//! Volumes on storage that others run: what each of them cannot do without.

use serde::Serialize;
use serde_json::Value;

use super::paths;
use crate::apiserver::field::{Error, Errors, Path, Shown};

/// The sources, and their fields that must not be empty.
const REQUIRED: [(&str, &[&str]); 18] = [
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("fc", &[]),
    ("quobyte", &["volume"]),
    ("flocker", &[]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
];

/// The field of a source; Kubernetes spells one in its own way where it counts them.
fn field(source: &str) -> &str {
    if source == "cephFS" { "cephfs" } else { source }
}

/// Checks the `source` of a volume at `path`; the fields of pods' volumes and of persistent ones are the same.
pub(in crate::apiserver::kinds) fn validate(volume: &impl Serialize, source: &str, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let source = field(source);
    let Some((_, names)) = REQUIRED.iter().find(|(name, _)| *name == source) else { return errors };
    let Ok(volume) = serde_json::to_value(volume) else { return errors };
    let Some(found) = volume.get(source) else { return errors };
    let path = path.child(source);
    for field in names.iter().filter(|field| is_empty(found.get(**field))) {
        errors.push(Error::required(&path.child(field), ""));
    }
    match source {
        "gitRepo" => {
            let directory = found["directory"].as_str().unwrap_or_default();
            errors.extend(paths::descending(directory, &path.child("directory")));
        }
        "iscsi" => iscsi(found, &path, &mut errors),
        "fc" => fibre_channel(found, &path, &mut errors),
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            within_a_byte(&found["partition"], &path.child("partition"), &mut errors);
        }
        "quobyte" => {
            let why = "must be a host:port pair or multiple pairs separated by commas";
            if is_empty(found.get("registry")) {
                errors.push(Error::required(&path.child("registry"), why));
            }
        }
        "flocker" if ["datasetName", "datasetUUID"].iter().all(|field| is_empty(found.get(*field))) => {
            errors.push(Error::required(&path, "one of datasetName and datasetUUID is required"));
        }
        _ => {}
    }
    errors
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn iscsi(disk: &Value, path: &Path, errors: &mut Errors) {
    let iqn = disk["iqn"].as_str().unwrap_or_default();
    if !iqn.is_empty() && !["iqn", "eui", "naa"].iter().any(|kind| iqn.starts_with(kind)) {
        let why = "must be valid format starting with iqn, eui, or naa";
        errors.push(Error::invalid(&path.child("iqn"), iqn, why));
    }
    within_a_byte(&disk["lun"], &path.child("lun"), errors);
    let has_login = ["chapAuthDiscovery", "chapAuthSession"].iter().any(|field| disk[*field] == true);
    if has_login && disk["secretRef"].is_null() {
        errors.push(Error::required(&path.child("secretRef"), ""));
    }
}

fn fibre_channel(disk: &Value, path: &Path, errors: &mut Errors) {
    let names = path.child("targetWWNs");
    match (is_empty(disk.get("targetWWNs")), is_empty(disk.get("wwids"))) {
        (true, true) => errors.push(Error::required(&names, "must specify either targetWWNs or wwids, but not both")),
        (true, false) => return,
        (false, true) => {}
        (false, false) => {
            let shown = Shown::json(&disk["targetWWNs"]);
            errors.push(Error::invalid(&names, shown, "targetWWNs and wwids can not be specified simultaneously"));
        }
    }
    if is_empty(disk.get("targetWWNs")) {
        return;
    }
    match &disk["lun"] {
        Value::Null => errors.push(Error::required(&path.child("lun"), "lun is required if targetWWNs is specified")),
        lun => within_a_byte(lun, &path.child("lun"), errors),
    }
}

fn within_a_byte(number: &Value, path: &Path, errors: &mut Errors) {
    if let Some(number) = number.as_i64().filter(|number| !(0..=255).contains(number)) {
        errors.push(Error::invalid(path, number, "must be between 0 and 255, inclusive"));
    }
}
