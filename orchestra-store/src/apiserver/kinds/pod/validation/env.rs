//! Environment variables and where their values come from.

use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, Container, EnvVar, FileKeySelector, ObjectFieldSelector, ResourceFieldSelector,
    SecretKeySelector,
};
use orchestra_core::quantity::Quantity;

use super::{invalid, required};
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::qualified_name,
};

/// The fields that a variable may have.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields that a pod can tell of itself by any way.
const KNOWN_FIELDS: [&str; 15] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "spec.host",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const SIZES: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
const ONE_SOURCE: &str = "may not have more than one field specified at a time";
const VARIABLE_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

pub(super) fn env(container: &Container, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let path = path.index(index);
        match variable.name.as_str() {
            "" => errors.push(Error::required(&path.child("name"), "")),
            name => errors.extend(invalid(&path.child("name"), name, variable_name(name))),
        }
        errors.extend(value_from(variable, &path.child("valueFrom")));
    }
    errors
}

pub(super) fn from(container: &Container, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        let path = path.index(index);
        if let Some(prefix) = source.prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
            errors.extend(invalid(&path.child("prefix"), prefix, variable_name(prefix)));
        }
        if let Some(config_map) = &source.config_map_ref {
            required(path.child("configMapRef").child("name"), Some(&config_map.name), &mut errors);
        }
        if let Some(secret) = &source.secret_ref {
            required(path.child("secretRef").child("name"), Some(&secret.name), &mut errors);
        }
        match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => {
                errors.push(Error::invalid(&path, "", "must specify one of: `configMapRef` or `secretRef`"));
            }
            (Some(_), Some(_)) => errors.push(Error::invalid(&path, "", ONE_SOURCE)),
            _ => {}
        }
    }
    errors
}

fn variable_name(name: &str) -> Option<String> {
    let good = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'=';
    (!name.bytes().all(good)).then(|| VARIABLE_NAME.to_owned())
}

fn value_from(variable: &EnvVar, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let Some(source) = &variable.value_from else { return errors };
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        errors.extend(field_ref(field, &FIELDS, &path.child("fieldRef")));
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        errors.extend(resource_ref(resource, false, &path.child("resourceFieldRef")));
    }
    if let Some(ConfigMapKeySelector { name, key, .. }) = &source.config_map_key_ref {
        sources += 1;
        named_key(name, key, &path.child("configMapKeyRef"), &mut errors);
    }
    if let Some(SecretKeySelector { name, key, .. }) = &source.secret_key_ref {
        sources += 1;
        named_key(name, key, &path.child("secretKeyRef"), &mut errors);
    }
    if let Some(FileKeySelector { volume_name, path: file, key, .. }) = &source.file_key_ref {
        sources += 1;
        let path = path.child("fileKeyRef");
        required(path.child("key"), Some(key), &mut errors);
        required(path.child("volumeName"), Some(volume_name), &mut errors);
        required(path.child("path"), Some(file), &mut errors);
    }
    match sources {
        0 => {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            errors.push(Error::invalid(path, "", why));
        }
        _ if variable.value.is_some() => {
            errors.push(Error::invalid(path, "", "may not be specified when `value` is not empty"));
        }
        1 => {}
        _ => errors.push(Error::invalid(path, "", ONE_SOURCE)),
    }
    errors
}

fn named_key(name: &str, key: &str, path: &Path, errors: &mut Errors) {
    required(path.child("name"), Some(name), errors);
    if key.is_empty() {
        errors.push(Error::required(&path.child("key"), ""));
    } else {
        errors.extend(invalid(&path.child("key"), key, config_key(key)));
    }
}

/// What is wrong with the key of a ConfigMap or Secret.
fn config_key(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > 253 {
        errors.push("must be no more than 253 bytes".to_owned());
    }
    if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        errors.push(CONFIG_KEY.to_owned());
    }
    match key {
        "." => errors.push("must not be '.'".to_owned()),
        ".." => errors.push("must not be '..'".to_owned()),
        key if key.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// A reference to one of the `allowed` fields of the pod, or to one of its labels or annotations.
pub(super) fn field_ref(field: &ObjectFieldSelector, allowed: &[&str], path: &Path) -> Errors {
    let version = field.api_version.as_deref().unwrap_or_default();
    if version.is_empty() {
        return vec![Error::required(&path.child("apiVersion"), "")];
    }
    if field.field_path.is_empty() {
        return vec![Error::required(&path.child("fieldPath"), "")];
    }
    let label = field.field_path.as_str();
    let subscript = label.strip_suffix("']").and_then(|head| head.split_once("['"));
    let problem = match subscript {
        _ if version != "v1" => Some(format!("unsupported pod version: {version}")),
        Some(("metadata.annotations" | "metadata.labels", _)) => None,
        Some(_) => Some(format!("field label does not support subscript: {label}")),
        None if !KNOWN_FIELDS.contains(&label) => Some(format!("field label not supported: {label}")),
        None => None,
    };
    if let Some(problem) = problem {
        let why = format!("error converting fieldPath: {problem}");
        return vec![Error::invalid(&path.child("fieldPath"), label, why)];
    }
    match subscript {
        Some(("metadata.annotations", key)) => invalid(path, key, qualified_name::key(&key.to_lowercase())),
        Some((_, key)) => invalid(path, key, qualified_name::key(key)),
        None if label != "spec.host" && !allowed.contains(&label) => {
            vec![Error::not_supported(&path.child("fieldPath"), label, allowed)]
        }
        None => Errors::new(),
    }
}

/// A reference to a container's resources; from a volume it must name the container.
pub(super) fn resource_ref(field: &ResourceFieldSelector, in_volume: bool, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let resource = field.resource.as_str();
    let huge = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if in_volume && field.container_name.is_none() {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else if !huge && !RESOURCES.contains(&resource) {
        errors.push(Error::not_supported(&path.child("resource"), resource, &RESOURCES));
    }
    let Some(divisor) = field.divisor.as_ref().and_then(|divisor| divisor.0.parse::<Quantity>().ok()) else {
        return errors;
    };
    if divisor.is_zero() {
        return errors;
    }
    let among = |allowed: &[&str]| allowed.iter().any(|text| text.parse::<Quantity>() == Ok(divisor));
    let name = resource.split_once('.').map_or(resource, |(_, name)| name);
    let why = match name {
        "cpu" if !among(&["1m", "1"]) => {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
        }
        "memory" | "ephemeral-storage" if !among(&SIZES) => {
            let what = if name == "memory" { "memory" } else { "local ephemeral storage" };
            format!("only divisor's values {} are supported with the {what} resource", SIZES.join(", "))
        }
        _ => return errors,
    };
    errors.push(Error::invalid(&path.child("divisor"), resource, why));
    errors
}
