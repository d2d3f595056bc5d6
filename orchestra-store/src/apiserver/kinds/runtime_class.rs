//! RuntimeClasses (`pkg/registry/node/runtimeclass`, `pkg/apis/node/validation`).

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::Toleration,
    node::v1::{RuntimeClass, Scheduling},
};
use serde_json::{Value, json};

use super::{column, pod};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::{label_selector, name},
};

/// The rules of runtime classes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeClasses;

/// The row of runtime classes.
pub fn row() -> Resource {
    new_row(RuntimeClasses).cluster_scoped()
}

impl Strategy for RuntimeClasses {
    type Object = RuntimeClass;
    type Wire = RuntimeClass;

    fn default(&self, class: &mut RuntimeClass) {
        if let Some(overhead) = &mut class.overhead {
            pod::resource_list(&mut overhead.pod_fixed);
        }
    }

    fn validate(&self, _ctx: &RequestContext, class: &RuntimeClass) -> Errors {
        let path = Path::new("handler");
        let mut errors = Errors::new();
        match class.handler.as_str() {
            "" => errors.push(Error::required(&path, "")),
            handler => errors.extend(name::label(handler, false).map(|why| Error::invalid(&path, handler, why))),
        }
        if let Some(amounts) = class.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref()) {
            errors.extend(pod::amounts(amounts, &Path::new("overhead").child("podFixed").child("limits")));
        }
        if let Some(rules) = &class.scheduling {
            errors.extend(scheduling(rules, &Path::new("scheduling")));
        }
        errors
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &RuntimeClass, old: &RuntimeClass) -> Errors {
        let changed = new.handler != old.handler;
        let error = || Error::invalid(&Path::new("handler"), &new.handler, "field is immutable");
        changed.then(error).into_iter().collect()
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, class: &RuntimeClass, now: Timestamp) -> Vec<Value> {
        let metadata = &class.metadata;
        vec![json!(metadata.name), json!(class.handler), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}

fn scheduling(rules: &Scheduling, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(labels) = &rules.node_selector {
        errors.extend(label_selector::labels(labels, &path.child("nodeSelector")));
    }
    let path = path.child("tolerations");
    let tolerations: &[Toleration] = rules.tolerations.as_deref().unwrap_or_default();
    errors.extend(pod::tolerations(tolerations, &path));
    for (index, toleration) in tolerations.iter().enumerate() {
        if tolerations[..index].contains(toleration) {
            errors.push(Error::duplicate(&path.index(index), Shown::json(toleration)));
        }
    }
    errors
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Handler",
        kind: "string",
        format: "",
        description: "handler specifies the underlying runtime and configuration that the CRI implementation will use to handle pods of this class. The possible values are specific to the node & CRI configuration.  It is assumed that all handlers are available on every node, and handlers of the same name are equivalent on every node. For example, a handler called \"runc\" might specify that the runc OCI runtime (using native Linux containers) will be used to run the containers in a pod. The Handler must be lowercase, conform to the DNS Label (RFC 1123) requirements, and is immutable.",
        priority: 0,
    },
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    fn class(parts: Value) -> RuntimeClass {
        let mut whole = json!({ "metadata": { "name": "c" }, "handler": "h" });
        whole.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        let mut class = object(whole);
        RuntimeClasses.default(&mut class);
        class
    }

    fn errors(parts: Value) -> Vec<String> {
        texts(&RuntimeClasses.validate(&context(), &class(parts)))
    }

    #[test]
    fn handlers_are_labels_and_stay() {
        assert_eq!(errors(json!({})), Vec::<String>::new());
        assert_eq!(errors(json!({ "handler": "" })), ["handler: Required value"]);
        assert!(
            errors(json!({ "handler": "A.b" }))[0]
                .starts_with("handler: Invalid value: \"A.b\": a lowercase RFC 1123 label")
        );
        let changed = RuntimeClasses.validate_update(&context(), &class(json!({ "handler": "x" })), &class(json!({})));
        assert_eq!(texts(&changed), ["handler: Invalid value: \"x\": field is immutable"]);
    }

    #[test]
    fn what_pods_get_is_checked_as_in_pods() {
        let good = json!({ "overhead": { "podFixed": { "cpu": "0.25", "memory": "64Mi" } },
            "scheduling": { "nodeSelector": { "a": "b" }, "tolerations": [{ "key": "k", "operator": "Exists" }] } });
        assert_eq!(errors(good.clone()), Vec::<String>::new());
        let amounts = class(good).overhead.unwrap().pod_fixed.unwrap();
        assert_eq!(amounts["cpu"].0, "250m");
        let negative = errors(json!({ "overhead": { "podFixed": { "cpu": "-1" } } }));
        assert_eq!(
            negative,
            ["overhead.podFixed.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"]
        );
        let twice = json!({ "scheduling": { "tolerations": [{ "operator": "Exists" }, { "operator": "Exists" }] } });
        assert!(errors(twice)[0].starts_with("scheduling.tolerations[1]: Duplicate value: "));
    }
}
