//! Ephemeral containers, which are added to a pod that runs (`ValidatePodEphemeralContainersUpdate`).

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};

use super::{mirror, validation};
use crate::apiserver::field::{Error, Errors, Path};

const NOT_FOR_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

/// Puts back all but the ephemeral containers.
pub(super) fn keep(new: &mut Pod, old: &Pod) {
    let added = new.spec.as_mut().and_then(|spec| spec.ephemeral_containers.take());
    let version = new.metadata.resource_version.take();
    new.clone_from(old);
    new.metadata.resource_version = version;
    new.spec.get_or_insert_default().ephemeral_containers = added;
}

/// Checks the change.
pub(super) fn validate(new: &Pod, old: &Pod) -> Errors {
    if mirror::is_mirror(&old.metadata) {
        return vec![Error::forbidden(&Path::new(""), "static pods do not support ephemeral containers")];
    }
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return Errors::new() };
    let path = Path::new("spec").child("ephemeralContainers");
    let mut errors = containers(new, &path);
    let list = |spec: &PodSpec| spec.ephemeral_containers.clone().unwrap_or_default();
    let now = list(new);
    for before in list(old) {
        let name = &before.name;
        match now.iter().find(|container| container.name == *name) {
            None => {
                let why = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.push(Error::forbidden(&path, &why));
            }
            Some(now) if *now != before => {
                errors.push(Error::forbidden(
                    &path,
                    &format!("existing ephemeral containers {name:?} may not be changed\n"),
                ));
            }
            Some(_) => {}
        }
    }
    errors
}

fn containers(spec: &PodSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let volumes = spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let others = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let others: HashSet<&str> = others.map(|container| container.name.as_str()).collect();
    let mut names = others.clone();
    for (index, container) in spec.ephemeral_containers.iter().flatten().enumerate() {
        let path = path.index(index);
        errors.extend(validation::container(&plain(container), &volumes, &path));
        if !names.insert(&container.name) {
            errors.push(Error::duplicate(&path.child("name"), container.name.as_str()));
        }
        let target = container.target_container_name.as_deref().filter(|target| !target.is_empty());
        if let Some(target) = target.filter(|target| !others.contains(target)) {
            errors.push(Error::not_found(&path.child("targetContainerName"), target));
        }
        let forbidden = [
            ("ports", container.ports.as_ref().is_some_and(|ports| !ports.is_empty())),
            ("resources", container.resources.as_ref().is_some_and(|resources| *resources != Default::default())),
            ("resizePolicy", container.resize_policy.as_ref().is_some_and(|policies| !policies.is_empty())),
            ("restartPolicy", container.restart_policy.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
            ("lifecycle", container.lifecycle.is_some()),
        ];
        let forbidden = forbidden.into_iter().filter(|(_, set)| *set);
        errors.extend(forbidden.map(|(field, _)| Error::forbidden(&path.child(field), NOT_FOR_EPHEMERAL)));
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let path = path.child("volumeMounts").index(index);
            let set = [("subPath", mount.sub_path.is_some()), ("subPathExpr", mount.sub_path_expr.is_some())];
            let set = set.into_iter().filter(|(_, set)| *set);
            errors.extend(set.map(|(field, _)| Error::forbidden(&path.child(field), NOT_FOR_EPHEMERAL)));
        }
    }
    errors
}

/// The container as any other: they have the same fields.
fn plain(container: &EphemeralContainer) -> Container {
    serde_json::to_string(container).and_then(|json| serde_json::from_str(&json)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::kinds::testing::{object, texts};

    fn pod(ephemeral: serde_json::Value) -> Pod {
        let container = |name: &str| json!({ "name": name, "image": "x", "terminationMessagePolicy": "File", "imagePullPolicy": "Always" });
        let mut spec = json!({ "containers": [container("a")] });
        let ephemeral = ephemeral.as_array().unwrap().iter().map(|more| {
            let mut whole = container("e");
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            whole
        });
        spec["ephemeralContainers"] = ephemeral.collect();
        object(json!({ "metadata": { "name": "p" }, "spec": spec }))
    }

    #[test]
    fn they_are_added_and_neither_changed_nor_removed() {
        let (none, one) = (pod(json!([])), pod(json!([{ "targetContainerName": "a" }])));
        assert!(validate(&one, &none).is_empty());
        assert!(validate(&one, &one).is_empty());
        let removed = "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be removed\n";
        assert_eq!(texts(&validate(&none, &one)), [removed]);
        let changed = "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"e\" may not be changed\n";
        assert_eq!(texts(&validate(&pod(json!([{ "image": "y" }])), &one)), [changed]);
    }

    #[test]
    fn they_are_guests() {
        let path = "spec.ephemeralContainers[0]";
        for (more, error) in [
            (json!({ "name": "a" }), format!("{path}.name: Duplicate value: \"a\"")),
            (json!({ "targetContainerName": "b" }), format!("{path}.targetContainerName: Not found: \"b\"")),
            (
                json!({ "ports": [{ "containerPort": 1, "protocol": "TCP" }] }),
                format!("{path}.ports: Forbidden: {NOT_FOR_EPHEMERAL}"),
            ),
            (json!({ "image": "" }), format!("{path}.image: Required value")),
        ] {
            assert_eq!(texts(&validate(&pod(json!([more])), &pod(json!([])))), [error]);
        }
    }

    #[test]
    fn nothing_else_changes_with_them() {
        let old = pod(json!([]));
        let mut new = pod(json!([{}]));
        new.spec.as_mut().unwrap().node_name = Some("n".to_owned());
        new.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        keep(&mut new, &old);
        assert_eq!(new.spec.as_ref().unwrap().ephemeral_containers.as_ref().unwrap().len(), 1);
        assert_eq!((&new.spec.unwrap().node_name, &new.metadata.labels), (&None, &None));
    }
}
