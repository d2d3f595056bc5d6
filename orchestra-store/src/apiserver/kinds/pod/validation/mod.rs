//! Checks of a pod, in the order in which Kubernetes makes them (`ValidatePodSpec`).

mod affinity;
mod claims;
mod container;
mod dns;
mod env;
mod lifecycle;
mod metadata;
mod mounts;
mod os;
mod paths;
mod ports;
mod probe;
mod projected;
mod resources;
mod scheduling;
mod security;
mod spec;
mod storage;
mod tolerations;
mod volumes;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};

pub(super) use self::container::common as container;
pub(in crate::apiserver::kinds) use self::{
    affinity::node_selector,
    paths::no_backsteps,
    resources::{is_extended, list as amounts, overcommits, resource_name},
    storage::validate as storage,
    tolerations::tolerations,
    volumes::{host_path, nfs},
};
use super::mirror;
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::label_selector,
};

/// Checks a new pod. Its metadata is checked elsewhere.
pub(super) fn create(pod: &Pod) -> Errors {
    let mut errors = any(pod);
    let Some(spec) = &pod.spec else { return errors };
    let path = Path::new("spec");
    if spec.ephemeral_containers.is_some() {
        errors.push(Error::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if spec.node_name.is_some() && spec.scheduling_gates.is_some() {
        let why = "cannot be set until all schedulingGates have been cleared";
        errors.push(Error::forbidden(&path.child("nodeName"), why));
    }
    errors
}

/// Checks that hold for new and for changed pods.
pub(super) fn any(pod: &Pod) -> Errors {
    let path = Path::new("spec");
    let mut errors = mirror::annotations(pod);
    if let Some(annotations) = &pod.metadata.annotations {
        errors.extend(metadata::deletion_cost(annotations, &Path::new("metadata").child("annotations")));
    }
    match &pod.spec {
        Some(spec) => {
            errors.extend(spec::validate(spec, &path));
            errors.extend(spec::pod_only(spec, &path));
        }
        None => errors.push(Error::required(&path.child("containers"), "")),
    }
    errors
}

/// Checks the template of pods.
pub(super) fn template(template: &PodTemplateSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(labels) = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref()) {
        errors.extend(label_selector::labels(labels, &path.child("labels")));
    }
    if let Some(annotations) = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref()) {
        errors.extend(metadata::annotations(annotations, &path.child("annotations")));
    }
    let path = path.child("spec");
    let Some(spec) = &template.spec else {
        errors.push(Error::required(&path.child("containers"), ""));
        return errors;
    };
    errors.extend(spec::validate(spec, &path));
    if spec.ephemeral_containers.is_some() {
        let why = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(&path.child("ephemeralContainers"), why));
    }
    errors
}

/// Each of `found` as an error of the value at `path`.
fn invalid(path: &Path, value: &str, found: impl IntoIterator<Item = String>) -> Errors {
    found.into_iter().map(|error| Error::invalid(path, value, error)).collect()
}

/// A value that must be one of a list.
fn one_of(path: &Path, value: Option<&String>, supported: &[&str], errors: &mut Errors) {
    match value.map(String::as_str).unwrap_or_default() {
        "" => errors.push(Error::required(path, "")),
        value if !supported.contains(&value) => errors.push(Error::not_supported(path, value, supported)),
        _ => {}
    }
}

/// A value that must not be empty.
fn required(path: Path, value: Option<&str>, errors: &mut Errors) {
    if value.is_none_or(str::is_empty) {
        errors.push(Error::required(&path, ""));
    }
}

fn non_negative(path: Path, value: Option<i32>, errors: &mut Errors) {
    if let Some(value) = value.filter(|value| *value < 0) {
        errors.push(Error::invalid(&path, value, "must be greater than or equal to 0"));
    }
}
