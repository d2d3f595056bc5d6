//! The template of a pod, as workloads carry it.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::{defaults, validation};
use crate::apiserver::field::{Errors, Path};

/// Fills in what a template leaves out. Some defaults of pods are not there: those that depend on the server's version
/// when the pod is made, and requests that follow from limits.
pub fn default(template: &mut PodTemplateSpec) {
    template.metadata.get_or_insert_default();
    defaults::spec(template.spec.get_or_insert_default());
}

/// Checks the template at `path`. What a workload demands beside (`restartPolicy: Always`) is the workload's to check.
pub fn validate(template: &PodTemplateSpec, path: &Path) -> Errors {
    validation::template(template, path)
}
