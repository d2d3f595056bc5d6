//! DeviceClasses (`pkg/registry/resource/deviceclass`).

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::{DeviceClass, DeviceClassConfiguration, DeviceClassSpec};
use serde_json::{Value, json};

use super::{column, device};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::qualified_name,
};

/// The rules of classes of devices.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceClasses;

/// The row of classes of devices.
pub fn row() -> Resource {
    new_row(DeviceClasses).cluster_scoped()
}

impl Strategy for DeviceClasses {
    type Object = DeviceClass;
    type Wire = DeviceClass;

    fn validate(&self, _ctx: &RequestContext, class: &DeviceClass) -> Errors {
        validate(&class.spec, None)
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &DeviceClass, old: &DeviceClass) -> Errors {
        validate(&new.spec, Some(&old.spec))
    }

    fn changes_generation(&self, new: &DeviceClass, old: &DeviceClass) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn columns(&self) -> &'static [Column] {
        &[column::NAME, column::AGE]
    }

    fn cells(&self, class: &DeviceClass, now: Timestamp) -> Vec<Value> {
        let metadata = &class.metadata;
        vec![json!(metadata.name), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}

/// What is as it was is not checked again: rules may have become stricter since.
fn validate(spec: &DeviceClassSpec, old: Option<&DeviceClassSpec>) -> Errors {
    let path = Path::new("spec");
    let mut errors = Errors::new();
    if old.is_none_or(|old| old.selectors != spec.selectors) {
        errors.extend(device::selectors(spec.selectors.as_deref(), &path.child("selectors")));
    }
    if old.is_none_or(|old| old.config != spec.config) {
        let check =
            |config: &DeviceClassConfiguration, path: &Path| device::configuration(config.opaque.as_ref(), path);
        errors.extend(device::each(spec.config.as_deref(), device::MAX_ITEMS, &path.child("config"), check));
    }
    if let Some(name) = spec.extended_resource_name.as_deref().filter(|name| !is_extended(name)) {
        let path = path.child("extendedResourceName");
        errors.push(Error::invalid(&path, name, "must be a valid extended resource name"));
    }
    errors
}

/// Whether a resource is one that Kubernetes does not define itself, and quota can be given for it.
fn is_extended(name: &str) -> bool {
    name.contains('/')
        && !name.contains("kubernetes.io/")
        && !name.starts_with("requests.")
        && qualified_name::key(&format!("requests.{name}")).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    fn class(spec: Value) -> DeviceClass {
        object(json!({ "metadata": { "name": "gpu" }, "spec": spec }))
    }

    fn errors(spec: Value) -> Vec<String> {
        texts(&DeviceClasses.validate(&context(), &class(spec)))
    }

    fn selector(expression: &str) -> Value {
        json!({ "selectors": [{ "cel": { "expression": expression } }] })
    }

    #[test]
    fn selectors_can_be_evaluated() {
        assert_eq!(errors(selector("device.driver == 'gpu.example.com'")), Vec::<String>::new());
        assert_eq!(errors(json!({ "selectors": [{}] })), ["spec.selectors[0].cel: Required value"]);
        let wrong = errors(selector("noSuchVar"));
        let begin = r#"spec.selectors[0].cel.expression: Invalid value: "noSuchVar": compilation failed: ERROR: <input>:1:1: undeclared reference to 'noSuchVar' (in container '')"#;
        assert!(wrong[0].starts_with(begin), "{wrong:?}");
        let list = format!("[{}]", ["1"; 64].join(","));
        let costly = errors(selector(&format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, true))))")));
        assert_eq!(costly, ["spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit"]);
        let long = errors(selector(&"a".repeat(10 * 1024 + 1)));
        assert_eq!(long, ["spec.selectors[0].cel.expression: Too long: may not be more than 10240 bytes"]);
        let many = vec![json!({ "cel": { "expression": "true" } }); 33];
        assert_eq!(errors(json!({ "selectors": many })), ["spec.selectors: Too many: 33: must have at most 32 items"]);
    }

    #[test]
    fn a_stored_selector_is_not_checked_again() {
        let stored = class(selector("noSuchVar"));
        let mut changed = stored.clone();
        changed.spec.extended_resource_name = Some("example.com/gpu".to_owned());
        assert!(DeviceClasses.validate_update(&context(), &changed, &stored).is_empty());
        assert_eq!(DeviceClasses.changes_generation(&changed, &stored), Some(true));
        assert_eq!(DeviceClasses.validate_update(&context(), &class(selector("other")), &stored).len(), 1);
    }

    #[test]
    fn parameters_are_an_object_for_a_driver() {
        let opaque = |driver: &str, parameters: Value| {
            errors(json!({ "config": [{ "opaque": { "driver": driver, "parameters": parameters } }] }))
        };
        assert_eq!(opaque("gpu.example.com", json!({ "a": 1 })), Vec::<String>::new());
        assert_eq!(
            opaque("gpu.example.com", json!([1])),
            [r#"spec.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object"#]
        );
        assert!(opaque("a_b", json!({}))[0].starts_with("spec.config[0].opaque.driver: Invalid value: \"a_b\""));
        assert_eq!(errors(json!({ "config": [{}] })), ["spec.config[0].opaque: Required value"]);
    }

    #[test]
    fn only_an_extended_resource_stands_for_a_class() {
        let of = |name: &str| errors(json!({ "extendedResourceName": name }));
        assert_eq!(of("example.com/gpu"), Vec::<String>::new());
        for name in ["cpu", "kubernetes.io/gpu"] {
            let expected =
                format!("spec.extendedResourceName: Invalid value: {name:?}: must be a valid extended resource name");
            assert_eq!(of(name), [expected]);
        }
    }
}
