//! Binding a pod to a node: what a POST to the `binding` subresource does (`pkg/registry/core/pod/storage`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, Pod};

use super::condition;
use crate::apiserver::field::{Error, Errors, Path};

/// Why a pod was not bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The binding is about another pod: a bad request.
    #[error("name in URL does not match name in Binding object")]
    WrongName,
    /// The binding is malformed; Kubernetes answers with code 500 and no reason.
    #[error("{}", aggregate(.0))]
    Invalid(Errors),
    /// The pod cannot be bound now: a conflict on `pods/binding`.
    #[error("{0}")]
    Conflict(String),
}

/// Binds `pod` to the node that `binding` names, and gives it the binding's labels and annotations. On an error the pod is
/// unchanged.
pub fn bind(pod: &mut Pod, binding: &Binding, now: Timestamp) -> Result<(), BindError> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    if binding.metadata.name.as_ref().is_some_and(|bound| *bound != name) {
        return Err(BindError::WrongName);
    }
    let node = match (validate(binding), &binding.target.name) {
        (errors, Some(node)) if errors.is_empty() => node.clone(),
        (errors, _) => return Err(BindError::Invalid(errors)),
    };
    refuse(pod, binding, &name)?;

    pod.spec.get_or_insert_default().node_name = Some(node);
    if let Some(annotations) = &binding.metadata.annotations {
        pod.metadata.annotations.get_or_insert_default().extend(annotations.clone());
    }
    if let Some(labels) = &binding.metadata.labels {
        pod.metadata.labels.get_or_insert_default().extend(labels.clone());
    }
    let status = pod.status.get_or_insert_default();
    // The nomination has served its purpose (KEP-5278).
    status.nominated_node_name = None;
    condition::set_scheduled(status, now);
    Ok(())
}

fn validate(binding: &Binding) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("target");
    if let Some(kind) = binding.target.kind.as_deref().filter(|kind| !matches!(*kind, "" | "Node")) {
        errors.push(Error::not_supported(&path.child("kind"), kind, &["Node", "<empty>"]));
    }
    if binding.target.name.as_deref().is_none_or(str::is_empty) {
        errors.push(Error::required(&path.child("name"), ""));
    }
    errors
}

fn refuse(pod: &Pod, binding: &Binding, name: &str) -> Result<(), BindError> {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let expected = binding.metadata.uid.as_deref().filter(|expected| !expected.is_empty() && *expected != uid);
    let spec = pod.spec.as_ref();
    let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty());
    let why = if let Some(expected) = expected {
        format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {uid}")
    } else if pod.metadata.deletion_timestamp.is_some() {
        format!("pod {name} is being deleted, cannot be assigned to a host")
    } else if let Some(node) = node {
        format!("pod {name} is already assigned to node {node:?}")
    } else if spec.and_then(|spec| spec.scheduling_gates.as_ref()).is_some_and(|gates| !gates.is_empty()) {
        format!("pod {name} has non-empty .spec.schedulingGates")
    } else {
        return Ok(());
    };
    Err(BindError::Conflict(why))
}

fn aggregate(errors: &Errors) -> String {
    match errors.as_slice() {
        [error] => error.to_string(),
        errors => format!("[{}]", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn binding(target: Value) -> Binding {
        serde_json::from_value(json!({"metadata": {"name": "d1"}, "target": target})).unwrap()
    }

    fn pod() -> Pod {
        let spec = json!({"containers": [{"name": "main"}]});
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "observedGeneration": 1});
        let status = json!({"phase": "Pending", "conditions": [condition]});
        serde_json::from_value(json!({"metadata": {"name": "d1"}, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn a_bound_pod_is_scheduled_and_stays_where_it_is() {
        let mut pod = pod();
        bind(&mut pod, &binding(json!({"kind": "Node", "name": "n1"})), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(pod.spec.as_ref().unwrap().node_name.as_deref(), Some("n1"));
        let conditions = serde_json::to_value(pod.status.as_ref().unwrap().conditions.as_ref().unwrap()).unwrap();
        assert_eq!(
            conditions,
            json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"}])
        );

        let error = bind(&mut pod, &binding(json!({"kind": "Node", "name": "n2"})), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error, BindError::Conflict(r#"pod d1 is already assigned to node "n1""#.to_owned()));
    }

    #[test]
    fn a_binding_names_a_node() {
        let error = |target| bind(&mut pod(), &binding(target), Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert_eq!(error(json!({})), "target.name: Required value");
        assert_eq!(
            error(json!({"kind": "Minion", "name": "n"})),
            r#"target.kind: Unsupported value: "Minion": supported values: "Node", "<empty>""#
        );
    }
}
