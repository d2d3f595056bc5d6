//! IngressClasses (`pkg/registry/networking/ingressclass`, `pkg/apis/networking/validation`).

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference};
use serde_json::{Value, json};

use super::column::{self, text};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::name,
};

/// The most bytes of a controller's name.
const CONTROLLER_MAX: usize = 250;

/// The rules of classes of ingresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct IngressClasses;

/// The row of classes of ingresses.
pub fn row() -> Resource {
    new_row(IngressClasses).cluster_scoped()
}

impl Strategy for IngressClasses {
    type Object = IngressClass;
    type Wire = IngressClass;

    fn default(&self, class: &mut IngressClass) {
        if let Some(parameters) = &mut class.spec.get_or_insert_default().parameters {
            parameters.scope.get_or_insert_with(|| "Cluster".to_owned());
        }
    }

    fn validate(&self, _ctx: &RequestContext, class: &IngressClass) -> Errors {
        let path = Path::new("spec");
        let Some(spec) = &class.spec else { return Errors::new() };
        let mut errors = controller(spec.controller.as_deref().unwrap_or_default(), &path.child("controller"));
        if let Some(reference) = &spec.parameters {
            errors.extend(parameters(reference, &path.child("parameters")));
        }
        errors
    }

    fn validate_update(&self, ctx: &RequestContext, new: &IngressClass, old: &IngressClass) -> Errors {
        let controller = |class: &IngressClass| class.spec.as_ref().and_then(|spec| spec.controller.clone());
        let mut errors = self.validate(ctx, new);
        let (new, old) = (controller(new).unwrap_or_default(), controller(old).unwrap_or_default());
        if new != old {
            errors.push(Error::invalid(&Path::new("spec").child("controller"), &new, "field is immutable"));
        }
        errors
    }

    fn changes_generation(&self, new: &IngressClass, old: &IngressClass) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, class: &IngressClass, now: Timestamp) -> Vec<Value> {
        let spec = class.spec.clone().unwrap_or_default();
        let parameters = spec.parameters.map(|reference| {
            let group = reference.api_group.map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", reference.kind, reference.name)
        });
        vec![
            json!(class.metadata.name),
            json!(spec.controller.unwrap_or_default()),
            json!(parameters.as_deref().unwrap_or("<none>")),
            json!(age::since(class.metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

/// A controller is named by a path in a domain of its own.
fn controller(controller: &str, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if controller.len() > CONTROLLER_MAX {
        errors.push(Error::too_long(path, CONTROLLER_MAX));
    }
    match controller.split_once('/') {
        _ if controller.is_empty() => errors.push(Error::required(path, "")),
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            errors.extend(name::subdomain(domain, false).map(|error| Error::invalid(path, domain, error)));
        }
        _ => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.push(Error::invalid(path, controller, detail));
        }
    }
    errors
}

fn parameters(reference: &IngressClassParametersReference, path: &Path) -> Errors {
    let mut errors = Errors::new();
    for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
        if value.is_empty() {
            errors.push(Error::required(&path.child(field), ""));
        }
    }
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    match reference.scope.as_deref() {
        Some("Namespace") if namespace.is_empty() => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            errors.push(Error::required(&path.child("namespace"), detail));
        }
        Some("Cluster") if reference.namespace.is_some() => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            errors.push(Error::forbidden(&path.child("namespace"), detail));
        }
        None | Some("Cluster" | "Namespace") => {}
        Some(scope) => errors.push(Error::not_supported(&path.child("scope"), scope, &["Cluster", "Namespace"])),
    }
    errors
}

const COLUMNS: &[Column] = &[
    column::NAME,
    text("Controller", "Controller that is responsible for handling this class"),
    text("Parameters", "A reference to a resource with additional parameters"),
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn controllers_have_a_domain_and_stay() {
        let class = |controller: &str| object(json!({"spec": {"controller": controller}}));
        let errors = |controller: &str| texts(&IngressClasses.validate(&context(), &class(controller)));
        assert!(errors("example.org/ingress").is_empty());
        assert_eq!(errors(""), ["spec.controller: Required value"]);
        let wrong =
            r#"spec.controller: Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")"#;
        assert_eq!(errors("nginx"), [wrong]);
        let changed = IngressClasses.validate_update(&context(), &class("a/b"), &class("a/c"));
        assert_eq!(texts(&changed), [r#"spec.controller: Invalid value: "a/b": field is immutable"#]);
    }

    #[test]
    fn parameters_are_of_the_cluster_unless_they_say_otherwise() {
        let class = |scope: Value| {
            let parameters =
                json!({"apiGroup": "example.org", "kind": "K", "name": "p", "scope": scope, "namespace": ""});
            let mut class: IngressClass = object(json!({"spec": {"controller": "a/b", "parameters": parameters}}));
            class.spec.as_mut().unwrap().parameters.as_mut().unwrap().namespace = None;
            IngressClasses.default(&mut class);
            class
        };
        let global = class(json!(null));
        assert_eq!(global.spec.as_ref().unwrap().parameters.as_ref().unwrap().scope.as_deref(), Some("Cluster"));
        assert!(IngressClasses.validate(&context(), &global).is_empty());
        assert_eq!(IngressClasses.cells(&global, Timestamp::UNIX_EPOCH)[2], "K.example.org/p");
        let without = IngressClasses.validate(&context(), &class(json!("Namespace")));
        let wrong = "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'";
        assert_eq!(texts(&without), [wrong]);
    }
}
