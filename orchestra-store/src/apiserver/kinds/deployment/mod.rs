//! Deployments (`pkg/registry/apps/deployment`).

mod columns;
mod defaults;
mod status;
mod validation;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentStatus},
    autoscaling::v1::Scale,
};
use serde_json::Value;

use super::workload;
use crate::apiserver::{
    field::Errors,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of deployments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deployments;

/// The row of deployments.
pub fn row() -> Resource {
    new_row(Deployments)
        .short_names(&["deploy"])
        .categories(&["all"])
        .subresources(&[Subresource::Status, Subresource::Scale])
}

impl Strategy for Deployments {
    type Object = Deployment;
    type Wire = Deployment;

    fn default(&self, deployment: &mut Deployment) {
        defaults::spec(deployment.spec.get_or_insert_default());
        deployment.status.get_or_insert_default();
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, deployment: &mut Deployment) {
        deployment.status = Some(DeploymentStatus::default());
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Deployment, old: &Deployment) {
        new.status = old.status.clone();
    }

    fn validate(&self, _ctx: &RequestContext, deployment: &Deployment) -> Errors {
        validation::spec(deployment)
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &Deployment, old: &Deployment) -> Errors {
        let mut errors = validation::spec(new);
        if let (Some(new), Some(old)) = (&new.spec, &old.spec) {
            errors.extend(workload::same_selector(&new.selector, &old.selector));
        }
        errors
    }

    fn warnings(&self, _ctx: &RequestContext, new: &Deployment, old: Option<&Deployment>) -> Vec<String> {
        let template = new.spec.as_ref().map(|spec| &spec.template);
        workload::warnings(&new.metadata, template, old.map(|old| &old.metadata))
    }

    fn changes_generation(&self, new: &Deployment, old: &Deployment) -> Option<bool> {
        // Annotations count because a new replica set takes them over.
        Some(new.spec != old.spec || new.metadata.annotations != old.metadata.annotations)
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut Deployment, old: &Deployment) {
        new.spec = old.spec.clone();
        new.metadata.labels = old.metadata.labels.clone();
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &Deployment, old: &Deployment) -> Errors {
        status::validate_update(new, old)
    }

    fn scale(&self, deployment: &Deployment) -> Option<Scale> {
        let spec = deployment.spec.as_ref()?;
        let current = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or_default();
        Some(workload::scale(spec.replicas, current, &spec.selector))
    }

    fn set_replicas(&self, deployment: &mut Deployment, replicas: i32) {
        deployment.spec.get_or_insert_default().replicas = Some(replicas);
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, deployment: &Deployment, now: Timestamp) -> Vec<Value> {
        columns::cells(deployment, now)
    }
}

#[cfg(test)]
mod tests;
