//! The operating system that a pod is for, and what pods for others have.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::Value;

use super::one_of;
use crate::apiserver::field::{Error, Errors, Path};

/// What the security context of a container for Linux may say, and one for Windows may not.
const OF_LINUX: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// The same for the security context of a pod.
const OF_LINUX_PODS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
];

/// Checks the name of the system, and that the pod asks for nothing that only another one has (`validateLinux`, `validateWindows`).
pub(super) fn validate(name: &str, spec: &PodSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    match name {
        "linux" => {
            let detail = "windows options cannot be set for a linux pod";
            contexts(spec, path, &["windowsOptions"], &["windowsOptions"], detail, &mut errors);
        }
        "windows" => {
            let detail = "cannot be set for a windows pod";
            let context = path.child("securityContext");
            let shared = [
                (path.child("hostUsers"), spec.host_users.is_some()),
                (path.child("hostPID"), spec.host_pid == Some(true)),
                (path.child("hostIPC"), spec.host_ipc == Some(true)),
                (context.child("shareProcessNamespace"), spec.share_process_namespace.is_some()),
            ];
            let set = shared.into_iter().filter(|(_, set)| *set);
            errors.extend(set.map(|(path, _)| Error::forbidden(&path, detail)));
            contexts(spec, path, &OF_LINUX_PODS, &OF_LINUX, detail, &mut errors);
        }
        "" => errors.push(Error::required(&path.child("os").child("name"), "cannot be empty")),
        _ => one_of(&path.child("os"), Some(&name.to_owned()), &["linux", "windows"], &mut errors),
    }
    errors
}

/// Forbids fields of the security contexts of the pod and its containers.
fn contexts(spec: &PodSpec, path: &Path, of_pod: &[&str], of_container: &[&str], detail: &str, errors: &mut Errors) {
    forbid(&spec.security_context, path, of_pod, detail, errors);
    let none: &[Container] = &[];
    let lists = [
        ("initContainers", spec.init_containers.as_deref().unwrap_or(none)),
        ("containers", spec.containers.as_slice()),
    ];
    for (list, containers) in lists {
        for (index, container) in containers.iter().enumerate() {
            forbid(&container.security_context, &path.child(list).index(index), of_container, detail, errors);
        }
    }
}

fn forbid(context: &Option<impl serde::Serialize>, path: &Path, fields: &[&str], detail: &str, errors: &mut Errors) {
    let Some(context) = context.as_ref().and_then(|context| serde_json::to_value(context).ok()) else { return };
    let path = path.child("securityContext");
    let is_set = |field: &&&str| match context.get(**field) {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    errors.extend(fields.iter().filter(is_set).map(|field| Error::forbidden(&path.child(field), detail)));
}
