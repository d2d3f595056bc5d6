//! What a pod's status may not say.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec, PodStatus};

use super::mirror;
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{ip, name, qualified_name},
};

const IMMUTABLE: &str = "field is immutable";

pub(super) fn validate_update(new: &Pod, old: &Pod) -> Errors {
    let (no_status, no_spec) = (PodStatus::default(), PodSpec::default());
    let (status, before) = (new.status.as_ref().unwrap_or(&no_status), old.status.as_ref().unwrap_or(&no_status));
    let spec = old.spec.as_ref().unwrap_or(&no_spec);
    let path = Path::new("status");
    let mut errors = mirror::annotation_changes(&new.metadata, &old.metadata);
    errors.extend(conditions(status, &path));
    if let Some(node) = status.nominated_node_name.as_deref().filter(|node| !node.is_empty()) {
        let error = name::subdomain(node, false);
        errors.extend(error.map(|error| Error::invalid(&path.child("nominatedNodeName"), node, error)));
    }
    if spec.restart_policy.as_deref() != Some("Always") {
        let kept = |new: &Option<Vec<_>>, old: &Option<Vec<_>>, name: &str| {
            transitions(new.as_deref(), old.as_deref(), spec, &path.child(name))
        };
        errors.extend(kept(&status.container_statuses, &before.container_statuses, "containerStatuses"));
        errors.extend(kept(&status.init_container_statuses, &before.init_container_statuses, "initContainerStatuses"));
    }
    errors.extend(addresses(status, &path));
    if before.qos_class.is_some() && status.qos_class != before.qos_class {
        errors.push(Error::invalid(
            &path.child("qosClass"),
            status.qos_class.as_deref().unwrap_or_default(),
            IMMUTABLE,
        ));
    }
    errors
}

fn conditions(status: &PodStatus, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (index, condition) in status.conditions.iter().flatten().enumerate() {
        if matches!(condition.type_.as_str(), "PodScheduled" | "Ready" | "Initialized") {
            continue;
        }
        let path = path.child("conditions").index(index).child("Type");
        errors.extend(
            qualified_name::key(&condition.type_)
                .into_iter()
                .map(|error| Error::invalid(&path, &condition.type_, error)),
        );
    }
    errors
}

/// A container that has ended for good does not run again.
fn transitions(
    new: Option<&[ContainerStatus]>,
    old: Option<&[ContainerStatus]>,
    spec: &PodSpec,
    path: &Path,
) -> Errors {
    let mut errors = Errors::new();
    for (index, before) in old.unwrap_or_default().iter().enumerate() {
        let Some(ended) = before.state.as_ref().and_then(|state| state.terminated.as_ref()) else { continue };
        let sidecar = spec.init_containers.iter().flatten().chain(&spec.containers);
        let restarts = sidecar.filter(|c| c.name == before.name).any(|c| c.restart_policy.is_some());
        if restarts || (ended.exit_code != 0 && spec.restart_policy.as_deref() == Some("OnFailure")) {
            continue;
        }
        let now = new.unwrap_or_default().iter().find(|status| status.name == before.name);
        if now.is_some_and(|status| status.state.as_ref().is_none_or(|state| state.terminated.is_none())) {
            let path = path.index(index).child("state");
            errors.push(Error::forbidden(&path, "may not be transitioned to non-terminated state"));
        }
    }
    errors
}

fn addresses(status: &PodStatus, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let pod = status.pod_ips.iter().flatten().enumerate().map(|(index, address)| ("podIPs", index, &address.ip));
    let host = status.host_ips.iter().flatten().enumerate().map(|(index, address)| ("hostIPs", index, &address.ip));
    for (list, index, address) in pod.chain(host) {
        errors.extend(ip::error(&path.child(list).index(index), address));
    }
    errors
}
