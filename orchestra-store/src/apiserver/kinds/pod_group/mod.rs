//! PodGroups and Workloads of scheduling.k8s.io/v1alpha2 (KEP-4671; `pkg/registry/scheduling/podgroup`, `pkg/apis/scheduling`).
//!
//! In Kubernetes 1.36 they are behind the gate `GenericWorkload`; here they are always served. What is behind further gates (topology, priority
//! and disruption of groups, claims of groups) is dropped, as Kubernetes drops it while these gates are closed.

mod policy;
#[cfg(test)]
mod tests;
pub mod workload;

use jiff::Timestamp;
use k8s_openapi::api::scheduling::v1alpha2::{PodGroup, PodGroupSpec, PodGroupTemplateReference};
use serde::Serialize;
use serde_json::{Value, json};

use super::column;
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::{condition, name},
};

/// The rules of pod groups.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodGroups;

/// The row of pod groups.
pub fn row() -> Resource {
    new_row(PodGroups).subresources(&[Subresource::Status])
}

impl Strategy for PodGroups {
    type Object = PodGroup;
    type Wire = PodGroup;

    fn prepare_for_create(&self, _ctx: &RequestContext, group: &mut PodGroup) {
        group.status = None;
        drop_gated(&mut group.spec);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut PodGroup, old: &PodGroup) {
        new.status.clone_from(&old.status);
        drop_gated(&mut new.spec);
    }

    fn validate(&self, _ctx: &RequestContext, group: &PodGroup) -> Errors {
        let path = Path::new("spec");
        let mut errors = Errors::new();
        if let Some(reference) = &group.spec.pod_group_template_ref {
            errors.extend(template_ref(reference, &path.child("podGroupTemplateRef")));
        }
        errors.extend(policy::validate(&group.spec.scheduling_policy, &path.child("schedulingPolicy")));
        errors
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &PodGroup, old: &PodGroup) -> Errors {
        let path = Path::new("spec");
        let (new, old) = (&new.spec, &old.spec);
        let reference =
            fixed(&new.pod_group_template_ref, &old.pod_group_template_ref, &path.child("podGroupTemplateRef"));
        let policy = fixed(&new.scheduling_policy, &old.scheduling_policy, &path.child("schedulingPolicy"));
        reference.into_iter().chain(policy).collect()
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut PodGroup, old: &PodGroup) {
        new.spec.clone_from(&old.spec);
        new.metadata.deletion_timestamp.clone_from(&old.metadata.deletion_timestamp);
        new.metadata.owner_references.clone_from(&old.metadata.owner_references);
        new.metadata.labels.clone_from(&old.metadata.labels);
        new.metadata.annotations.clone_from(&old.metadata.annotations);
        new.metadata.finalizers.clone_from(&old.metadata.finalizers);
        if let Some(status) = &mut new.status {
            status.resource_claim_statuses = None;
        }
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &PodGroup, _old: &PodGroup) -> Errors {
        let conditions = new.status.as_ref().and_then(|status| status.conditions.as_deref());
        condition::validate(conditions.unwrap_or_default(), &Path::new("status").child("conditions"))
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, group: &PodGroup, now: Timestamp) -> Vec<Value> {
        let metadata = &group.metadata;
        vec![json!(metadata.name), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}

const COLUMNS: &[Column] = &[column::NAME, column::AGE];

/// Drops what is behind gates that are closed by default.
fn drop_gated(spec: &mut PodGroupSpec) {
    *spec = PodGroupSpec {
        pod_group_template_ref: spec.pod_group_template_ref.take(),
        scheduling_policy: std::mem::take(&mut spec.scheduling_policy),
        ..PodGroupSpec::default()
    };
}

/// An error if a field changed that may not.
fn fixed<T: PartialEq + Serialize>(new: &T, old: &T, path: &Path) -> Option<Error> {
    (new != old).then(|| Error::invalid(path, Shown::json(new), "field is immutable"))
}

fn template_ref(reference: &PodGroupTemplateReference, path: &Path) -> Errors {
    let Some(workload) = &reference.workload else {
        return vec![Error::invalid(path, "", "must specify one of: `workload`")];
    };
    let path = path.child("workload");
    let mut errors = named(&workload.workload_name, &path.child("workloadName"), name::subdomain);
    errors.extend(named(&workload.pod_group_template_name, &path.child("podGroupTemplateName"), name::label));
    errors
}

/// A name that has to be there.
fn named(name: &str, path: &Path, rule: fn(&str, bool) -> Option<String>) -> Errors {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    rule(name, false).map(|why| Error::invalid(path, name, why)).into_iter().collect()
}
