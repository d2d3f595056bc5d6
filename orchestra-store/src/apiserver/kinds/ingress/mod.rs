//! Ingresses (`pkg/registry/networking/ingress`, `pkg/apis/networking`). Who acts on them is not Kubernetes' concern.

mod columns;
mod validation;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{Ingress, IngressStatus};
use serde_json::Value;

use crate::apiserver::{
    field::Errors,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The annotation that named the class before there was a field for it.
pub(in crate::apiserver) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The rules of ingresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ingresses;

/// The row of ingresses.
pub fn row() -> Resource {
    new_row(Ingresses).short_names(&["ing"]).subresources(&[Subresource::Status])
}

impl Strategy for Ingresses {
    type Object = Ingress;
    type Wire = Ingress;

    fn default(&self, ingress: &mut Ingress) {
        ingress.spec.get_or_insert_default();
        ingress.status.get_or_insert_default().load_balancer.get_or_insert_default();
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, ingress: &mut Ingress) {
        ingress.status = Some(IngressStatus { load_balancer: Some(Default::default()) });
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Ingress, old: &Ingress) {
        new.status.clone_from(&old.status);
    }

    fn validate(&self, _ctx: &RequestContext, ingress: &Ingress) -> Errors {
        let mut errors = validation::ingress(ingress);
        errors.extend(validation::one_class(ingress));
        errors
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &Ingress, _old: &Ingress) -> Errors {
        validation::ingress(new)
    }

    fn changes_generation(&self, new: &Ingress, old: &Ingress) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut Ingress, old: &Ingress) {
        new.spec.clone_from(&old.spec);
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &Ingress, _old: &Ingress) -> Errors {
        validation::status(new)
    }

    fn warnings(&self, _ctx: &RequestContext, new: &Ingress, _old: Option<&Ingress>) -> Vec<String> {
        let is_annotated = new.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(CLASS_ANNOTATION));
        let warning =
            format!("annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead");
        is_annotated.then_some(warning).into_iter().collect()
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, ingress: &Ingress, now: Timestamp) -> Vec<Value> {
        columns::cells(ingress, now)
    }
}

#[cfg(test)]
mod tests;
