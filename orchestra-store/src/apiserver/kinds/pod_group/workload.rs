//! Workloads: the templates of the pod groups that a controller makes (`pkg/registry/scheduling/workload`).

use jiff::Timestamp;
use k8s_openapi::api::scheduling::v1alpha2::{PodGroupTemplate, TypedLocalObjectReference, Workload, WorkloadSpec};
use serde_json::{Value, json};

use super::{COLUMNS, fixed, named, policy};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::name,
};

/// The most templates of a workload (`WorkloadMaxPodGroupTemplates`).
const MAX_TEMPLATES: usize = 8;

/// The rules of workloads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workloads;

/// The row of workloads.
pub fn row() -> Resource {
    new_row(Workloads)
}

impl Strategy for Workloads {
    type Object = Workload;
    type Wire = Workload;

    fn prepare_for_create(&self, _ctx: &RequestContext, workload: &mut Workload) {
        drop_gated(&mut workload.spec);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Workload, _old: &Workload) {
        drop_gated(&mut new.spec);
    }

    fn validate(&self, _ctx: &RequestContext, workload: &Workload) -> Errors {
        let path = Path::new("spec");
        let mut errors = Errors::new();
        if let Some(reference) = &workload.spec.controller_ref {
            errors.extend(controller(reference, &path.child("controllerRef")));
        }
        errors.extend(templates(&workload.spec.pod_group_templates, &path.child("podGroupTemplates")));
        errors
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &Workload, old: &Workload) -> Errors {
        let path = Path::new("spec");
        let (new, old) = (&new.spec, &old.spec);
        let controller = fixed(&new.controller_ref, &old.controller_ref, &path.child("controllerRef"));
        let templates = fixed(&new.pod_group_templates, &old.pod_group_templates, &path.child("podGroupTemplates"));
        controller.into_iter().chain(templates).collect()
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, workload: &Workload, now: Timestamp) -> Vec<Value> {
        let metadata = &workload.metadata;
        vec![json!(metadata.name), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}

/// Drops what is behind gates that are closed by default.
fn drop_gated(spec: &mut WorkloadSpec) {
    for template in &mut spec.pod_group_templates {
        *template = PodGroupTemplate {
            name: std::mem::take(&mut template.name),
            scheduling_policy: std::mem::take(&mut template.scheduling_policy),
            ..PodGroupTemplate::default()
        };
    }
}

fn controller(reference: &TypedLocalObjectReference, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(group) = reference.api_group.as_deref().filter(|group| !group.is_empty()) {
        errors.extend(named(group, &path.child("apiGroup"), name::subdomain));
    }
    let segment: fn(&str, bool) -> Option<String> = |name, _| name::path_segment(name);
    errors.extend(named(&reference.kind, &path.child("kind"), segment));
    errors.extend(named(&reference.name, &path.child("name"), segment));
    errors
}

fn templates(templates: &[PodGroupTemplate], path: &Path) -> Errors {
    match templates.len() {
        0 => return vec![Error::required(path, "")],
        count if count > MAX_TEMPLATES => return vec![Error::too_many(path, count, MAX_TEMPLATES)],
        _ => {}
    }
    let mut errors = Errors::new();
    for (index, template) in templates.iter().enumerate() {
        let path = path.index(index);
        if templates.iter().take(index).any(|other| other.name == template.name) {
            errors.push(Error::duplicate(&path, Shown::json(template)));
        }
        errors.extend(named(&template.name, &path.child("name"), name::label));
        errors.extend(policy::validate(&template.scheduling_policy, &path.child("schedulingPolicy")));
    }
    errors
}
