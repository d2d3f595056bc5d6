//! Paths below a volume's root.

use crate::apiserver::field::{Error, Errors, Path};

/// A relative path that does not lead out.
pub(super) fn descending(target: &str, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if target.starts_with('/') {
        errors.push(Error::invalid(path, target, "must be a relative path"));
    }
    errors.extend(no_backsteps(target, path));
    errors
}

/// A path that does not lead out.
pub(in crate::apiserver::kinds) fn no_backsteps(target: &str, path: &Path) -> Option<Error> {
    target.split('/').any(|part| part == "..").then(|| Error::invalid(path, target, "must not contain '..'"))
}

/// As [`descending`]; names that begin with two dots are the kubelet's own.
pub(super) fn not_reserved(target: &str, path: &Path) -> Errors {
    let mut errors = descending(target, path);
    // A path that leads out is already said to be wrong.
    if target.starts_with("..") && !target.starts_with("../") && target != ".." {
        errors.push(Error::invalid(path, target, "must not start with '..'"));
    }
    errors
}

/// Permissions of a file.
pub(super) fn mode(mode: Option<i32>, path: &Path) -> Option<Error> {
    let mode = mode.filter(|mode| !(0..=0o777).contains(mode))?;
    Some(Error::invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive"))
}
