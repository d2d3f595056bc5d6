//! What Deployments and ReplicaSets share: the check of template and selector, the Scale, and cells.

use k8s_openapi::{
    api::{
        autoscaling::v1::{Scale, ScaleSpec, ScaleStatus},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use orchestra_core::selector::label::Selector;
use serde_json::{Value, json};

use super::pod;
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::label_selector,
};

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// An error if the number is there and negative.
pub(super) fn not_negative(number: Option<impl Into<i64>>, path: &Path) -> Option<Error> {
    let number = number.map(Into::into).filter(|number: &i64| *number < 0)?;
    Some(Error::invalid(path, number, NOT_NEGATIVE))
}

/// What the server warns of in a new name, and in the template when something else is wanted than before.
pub(super) fn warnings(
    metadata: &ObjectMeta,
    template: Option<&PodTemplateSpec>,
    old: Option<&ObjectMeta>,
) -> Vec<String> {
    let name = old.is_none().then(|| pod::warnings::host_name(metadata.name.as_ref(), "Pod names and hostnames"));
    let changes = old.is_none_or(|old| old.generation != metadata.generation);
    let template = template.filter(|_| changes);
    let template = template.map(|template| pod::warnings::template(template, &Path::new("spec").child("template")));
    name.flatten().into_iter().chain(template.into_iter().flatten()).collect()
}

/// Checks the selector, and that the template is one of pods that it selects and that run for ever.
pub(super) fn selector_and_template(selector: &LabelSelector, template: &PodTemplateSpec, path: &Path) -> Errors {
    let at = path.child("selector");
    let (labels, expressions) = (&selector.match_labels, &selector.match_expressions);
    let mut errors = Errors::new();
    let absent = labels.is_none() && expressions.is_none();
    if absent {
        errors.push(Error::required(&at, ""));
    } else {
        errors.extend(label_selector::validate(selector, &at));
        if labels.iter().flatten().next().is_none() && expressions.iter().flatten().next().is_none() {
            let detail = "empty selector is invalid for deployment";
            errors.push(Error::invalid(&at, Shown::json(selector), detail));
        }
    }
    let parsed = if absent { Ok(Selector::nothing()) } else { Selector::try_from(selector) };
    match parsed {
        Ok(selector) => errors.extend(selected(&selector, template, &path.child("template"))),
        Err(_) => errors.push(Error::invalid(&at, Shown::json(selector), "invalid label selector")),
    }
    errors
}

fn selected(selector: &Selector, template: &PodTemplateSpec, path: &Path) -> Errors {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    let mut errors = Errors::new();
    if !selector.is_everything() && !selector.matches_optional(labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(Error::invalid(&path.child("metadata.labels"), Shown::json(&labels), detail));
    }
    errors.extend(pod::template::validate(template, path));
    let Some(spec) = &template.spec else { return errors };
    match spec.restart_policy.as_deref() {
        None | Some("Always") => {}
        Some(policy) => errors.push(Error::not_supported(&path.child("spec.restartPolicy"), policy, &["Always"])),
    }
    if spec.active_deadline_seconds.is_some() {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.push(Error::forbidden(&path.child("spec.activeDeadlineSeconds"), detail));
    }
    errors
}

/// An error if the selector changed, which would orphan pods.
pub(super) fn same_selector(new: &LabelSelector, old: &LabelSelector) -> Option<Error> {
    let path = Path::new("spec").child("selector");
    (new != old).then(|| Error::invalid(&path, Shown::json(new), "field is immutable"))
}

/// The Scale of a workload; like Kubernetes it leaves out a wish for zero replicas.
pub(super) fn scale(wanted: Option<i32>, current: i32, selector: &LabelSelector) -> Scale {
    Scale {
        spec: Some(ScaleSpec { replicas: wanted.filter(|replicas| *replicas != 0) }),
        status: Some(ScaleStatus {
            replicas: current,
            selector: Selector::try_from(selector).ok().map(|selector| selector.to_string()),
        }),
        ..Scale::default()
    }
}

/// The cells of the containers, their images, and the selector.
pub(super) fn wide_cells(template: Option<&PodTemplateSpec>, selector: &LabelSelector) -> [Value; 3] {
    let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| spec.containers.as_slice());
    let containers = containers.unwrap_or_default();
    let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let images: Vec<&str> = containers.iter().map(|container| container.image.as_deref().unwrap_or_default()).collect();
    let selector = match Selector::try_from(selector) {
        Err(_) => "<error>".to_owned(),
        Ok(selector) if selector.is_everything() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
    };
    [json!(names.join(",")), json!(images.join(",")), json!(selector)]
}
