//! ResourceClaimTemplates (`pkg/registry/resource/resourceclaimtemplate`).

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceClaimTemplate;
use serde_json::{Value, json};

use super::{column, resource_claim};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::label_selector,
};

/// The rules of templates of claims.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceClaimTemplates;

/// The row of templates of claims.
pub fn row() -> Resource {
    new_row(ResourceClaimTemplates)
}

impl Strategy for ResourceClaimTemplates {
    type Object = ResourceClaimTemplate;
    type Wire = ResourceClaimTemplate;

    fn default(&self, template: &mut ResourceClaimTemplate) {
        template.spec.metadata.get_or_insert_default();
        resource_claim::default_spec(&mut template.spec.spec);
    }

    fn validate(&self, _ctx: &RequestContext, template: &ResourceClaimTemplate) -> Errors {
        let path = Path::new("spec");
        let labels = template.spec.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        let mut errors = Errors::new();
        if let Some(labels) = labels {
            errors.extend(label_selector::labels(labels, &path.child("metadata").child("labels")));
        }
        errors.extend(resource_claim::validate_spec(&template.spec.spec, &path.child("spec")));
        errors
    }

    fn validate_update(
        &self,
        _ctx: &RequestContext,
        new: &ResourceClaimTemplate,
        old: &ResourceClaimTemplate,
    ) -> Errors {
        let error = || Error::invalid(&Path::new("spec"), Shown::json(&new.spec), "field is immutable");
        (new.spec != old.spec).then(error).into_iter().collect()
    }

    fn columns(&self) -> &'static [Column] {
        &[column::NAME, column::AGE]
    }

    fn cells(&self, template: &ResourceClaimTemplate, now: Timestamp) -> Vec<Value> {
        let metadata = &template.metadata;
        vec![json!(metadata.name), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    fn template(class: &str) -> ResourceClaimTemplate {
        let request = json!({ "name": "r", "exactly": { "deviceClassName": class } });
        let spec = json!({ "spec": { "devices": { "requests": [request] } } });
        let mut template = object(json!({ "metadata": { "name": "t" }, "spec": spec }));
        ResourceClaimTemplates.default(&mut template);
        template
    }

    #[test]
    fn a_template_is_checked_as_the_claims_that_it_makes() {
        assert!(ResourceClaimTemplates.validate(&context(), &template("gpu")).is_empty());
        let errors = texts(&ResourceClaimTemplates.validate(&context(), &template("")));
        assert_eq!(errors, ["spec.spec.devices.requests[0].exactly.deviceClassName: Required value"]);
    }

    #[test]
    fn a_template_stays() {
        let changed = ResourceClaimTemplates.validate_update(&context(), &template("a"), &template("b"));
        assert!(texts(&changed)[0].ends_with("field is immutable"));
        assert!(ResourceClaimTemplates.validate_update(&context(), &template("a"), &template("a")).is_empty());
    }
}
