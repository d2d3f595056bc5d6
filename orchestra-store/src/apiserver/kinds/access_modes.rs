//! How a volume may be mounted and of which class it is, which volumes and claims of volumes tell alike.

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::name,
};

const ONE_POD: &str = "ReadWriteOncePod";
/// In the order of the alphabet, as errors list them.
const SUPPORTED: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", ONE_POD];
/// In the order in which tables show them.
const SHORT: [(&str, &str); 4] =
    [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), (ONE_POD, "RWOP")];
/// The volume mode that is meant when none is said.
pub(super) const FILESYSTEM: &str = "Filesystem";
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// The modes at `path` are known, and the one that stands alone does.
pub(super) fn validate(modes: &[String], path: &Path) -> Errors {
    let mut errors = Errors::new();
    for mode in modes.iter().filter(|mode| !SUPPORTED.contains(&mode.as_str())) {
        errors.push(Error::not_supported(path, mode.as_str(), &SUPPORTED));
    }
    let has = |wanted: fn(&str) -> bool| modes.iter().any(|mode| SUPPORTED.contains(&mode.as_str()) && wanted(mode));
    if has(|mode| mode == ONE_POD) && has(|mode| mode != ONE_POD) {
        errors.push(Error::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
    errors
}

/// The modes as tables show them: `RWO,ROX`.
pub(super) fn short(modes: Option<&Vec<String>>) -> String {
    let modes = modes.map(Vec::as_slice).unwrap_or_default();
    let shown = SHORT.iter().filter(|(mode, _)| modes.iter().any(|given| given == mode));
    shown.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// Whether a volume is files or a device, at `path`.
pub(super) fn volume_mode(mode: Option<&str>, path: &Path) -> Option<Error> {
    let mode = mode.filter(|mode| !VOLUME_MODES.contains(mode))?;
    Some(Error::not_supported(path, mode, &VOLUME_MODES))
}

/// The name of a class, at `path`; empty is none.
pub(super) fn class_name(class: Option<&str>, path: &Path) -> Option<Error> {
    let class = class.filter(|class| !class.is_empty())?;
    name::subdomain(class, false).map(|error| Error::invalid(path, class, error))
}

/// An update leaves the mode as it is; Kubernetes names the field without `spec`.
pub(super) fn same_volume_mode(new: Option<&String>, old: Option<&String>) -> Option<Error> {
    (new != old).then(|| Error::invalid(&Path::new("volumeMode"), Shown::json(&new), "field is immutable"))
}
