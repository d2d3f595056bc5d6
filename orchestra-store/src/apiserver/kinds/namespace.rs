//! Namespaces (`pkg/registry/core/namespace`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use super::column;
use crate::apiserver::{
    age,
    field::{Error, Errors, Path},
    metadata,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation,
};

/// The label that lets selectors choose a namespace by its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The finalizer of the controller that deletes a namespace's contents.
const FINALIZER: &str = "kubernetes";

/// The rules of namespaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namespaces;

/// The row of namespaces.
pub fn row() -> Resource {
    new_row(Namespaces)
        .cluster_scoped()
        .short_names(&["ns"])
        .subresources(&[Subresource::Status, Subresource::Finalize])
        .returns_deleted()
}

impl Strategy for Namespaces {
    type Object = Namespace;
    type Wire = Namespace;

    fn validate_name(&self, name: &str, is_prefix: bool) -> Option<String> {
        validation::name::label(name, is_prefix)
    }

    fn default(&self, namespace: &mut Namespace) {
        namespace.spec.get_or_insert_default();
        let phase = namespace.status.get_or_insert_default().phase.get_or_insert_default();
        if phase.is_empty() {
            "Active".clone_into(phase);
        }
        label(namespace);
    }

    fn prepare_for_finalize(&self, new: &mut Namespace, old: &Namespace) {
        let finalizers = new.spec.take().and_then(|spec| spec.finalizers);
        new.clone_from(old);
        new.spec.get_or_insert_default().finalizers = finalizers;
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, namespace: &mut Namespace) {
        namespace.status = Some(Default::default());
        namespace.status.get_or_insert_default().phase = Some("Active".to_owned());
        let finalizers = namespace.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        // Once more: a generated name may be newer than the defaults.
        label(namespace);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Namespace, old: &Namespace) {
        new.spec = old.spec.clone();
        new.status = old.status.clone();
    }

    fn validate(&self, _ctx: &RequestContext, namespace: &Namespace) -> Errors {
        let path = Path::new("spec").child("finalizers");
        let finalizers = namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten());
        finalizers.flat_map(|finalizer| metadata::finalizer(finalizer, &path)).collect()
    }

    fn validate_update(&self, _ctx: &RequestContext, _new: &Namespace, _old: &Namespace) -> Errors {
        Errors::new()
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut Namespace, old: &Namespace) {
        new.spec = old.spec.clone();
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &Namespace, _old: &Namespace) -> Errors {
        let path = Path::new("status").child("phase");
        let phase = phase(new);
        match (&new.metadata.deletion_timestamp, phase) {
            (None, "Active") | (Some(_), "Terminating") => Errors::new(),
            (None, _) => {
                vec![Error::invalid(&path, phase, "may only be 'Active' if `deletionTimestamp` is empty")]
            }
            (Some(_), _) => {
                vec![Error::invalid(&path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
            }
        }
    }

    fn begin_deletion(&self, namespace: &mut Namespace) {
        namespace.status.get_or_insert_default().phase = Some("Terminating".to_owned());
    }

    fn holds_deletion(&self, namespace: &Namespace) -> bool {
        namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref()).is_some_and(|held| !held.is_empty())
    }

    fn fields(&self, namespace: &Namespace) -> Vec<String> {
        vec![phase(namespace).to_owned()]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["status.phase"]
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, namespace: &Namespace, now: Timestamp) -> Vec<Value> {
        let metadata = &namespace.metadata;
        vec![
            json!(metadata.name),
            json!(phase(namespace)),
            json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

fn phase(namespace: &Namespace) -> &str {
    namespace.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn label(namespace: &mut Namespace) {
    if let Some(name) = namespace.metadata.name.clone().filter(|name| !name.is_empty()) {
        namespace.metadata.labels.get_or_insert_default().insert(NAME_LABEL.to_owned(), name);
    }
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column { name: "Status", kind: "string", format: "", description: "The status of the namespace", priority: 0 },
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn a_new_namespace_is_active_labelled_and_held() {
        let mut namespace: Namespace =
            object(json!({"metadata": {"name": "golden"}, "status": {"phase": "Terminating"}}));
        Namespaces.default(&mut namespace);
        Namespaces.prepare_for_create(&context(), &mut namespace);
        let value = serde_json::to_value(&namespace).unwrap();
        assert_eq!(value["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "golden"}));
        assert_eq!(
            (&value["spec"], &value["status"]),
            (&json!({"finalizers": ["kubernetes"]}), &json!({"phase": "Active"}))
        );
        assert!(Namespaces.holds_deletion(&namespace));
        Namespaces.begin_deletion(&mut namespace);
        assert_eq!(phase(&namespace), "Terminating");
    }

    #[test]
    fn the_phase_follows_the_deletion() {
        let namespace: Namespace = object(json!({"status": {"phase": "Terminating"}}));
        assert_eq!(
            texts(&Namespaces.validate_status_update(&context(), &namespace, &namespace)),
            [r#"status.phase: Invalid value: "Terminating": may only be 'Active' if `deletionTimestamp` is empty"#]
        );
    }

    #[test]
    fn names_are_labels() {
        assert!(Namespaces.validate_name("a.b", false).is_some());
        assert!(Namespaces.validate_name("a-b", false).is_none());
    }

    #[test]
    fn finalizers_are_qualified_or_kubernetes_own() {
        let namespace: Namespace = object(json!({"spec": {"finalizers": ["kubernetes", "example.org/x", "mine"]}}));
        let wrong = "spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified";
        assert_eq!(texts(&Namespaces.validate(&context(), &namespace)), [wrong]);
    }
}
