//! Services (`pkg/registry/core/service`).

mod allocation;
mod columns;
mod defaults;
mod needs;
mod update;
mod validation;
mod warnings;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServiceStatus};
use orchestra_core::random::Generator;
use serde_json::Value;

use crate::apiserver::{
    field::Errors,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Claim, Column, RequestContext, Strategy},
    validation::name,
};

/// The rules of services.
#[derive(Clone, Copy, Debug, Default)]
pub struct Services;

/// The row of services.
pub fn row() -> Resource {
    new_row(Services)
        .short_names(&["svc"])
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .stored_as("services/specs")
        .returns_deleted()
        .creates_on_update()
}

impl Strategy for Services {
    type Object = Service;
    type Wire = Service;

    fn validate_name(&self, name: &str, is_prefix: bool) -> Option<String> {
        name::label_1035(name, is_prefix)
    }

    fn default(&self, service: &mut Service) {
        defaults::spec(service.spec.get_or_insert_default());
        service.status.get_or_insert_default().load_balancer.get_or_insert_default();
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, service: &mut Service) {
        service.status = Some(ServiceStatus { load_balancer: Some(Default::default()), ..ServiceStatus::default() });
        let spec = service.spec.get_or_insert_default();
        defaults::cluster_ips(spec);
        defaults::ip_families(spec);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Service, old: &Service) {
        new.status = old.status.clone();
        let old = old.spec.clone().unwrap_or_default();
        let spec = new.spec.get_or_insert_default();
        update::cluster_ips(spec, &old);
        update::keep_allocated(spec, &old);
        update::drop_unneeded(spec, &old);
        defaults::ip_families(spec);
    }

    fn validate(&self, _ctx: &RequestContext, service: &Service) -> Errors {
        let Some(spec) = &service.spec else { return Errors::new() };
        let errors = validation::spec(spec);
        // Kubernetes allocates after all checks, so that these errors never come with others.
        if errors.is_empty() { allocation::validate(spec) } else { errors }
    }

    fn validate_update(&self, ctx: &RequestContext, new: &Service, old: &Service) -> Errors {
        let mut errors = Errors::new();
        if let (Some(new), Some(old)) = (&new.spec, &old.spec) {
            errors.extend(update::validate(new, old));
        }
        errors.extend(if errors.is_empty() {
            self.validate(ctx, new)
        } else {
            new.spec.as_ref().map(validation::spec).unwrap_or_default()
        });
        errors
    }

    fn warnings(&self, _ctx: &RequestContext, new: &Service, _old: Option<&Service>) -> Vec<String> {
        warnings::service(new)
    }

    fn assign(&self, service: &mut Service, generator: &Generator) {
        if let Some(spec) = &mut service.spec {
            allocation::assign(spec, generator);
        }
    }

    fn assigns(&self) -> bool {
        true
    }

    fn claims(&self, service: &Service) -> Vec<Claim> {
        service.spec.as_ref().map(allocation::claims).unwrap_or_default()
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut Service, old: &Service) {
        new.spec = old.spec.clone();
    }

    fn fields(&self, service: &Service) -> Vec<String> {
        let spec = service.spec.as_ref();
        let text = |field: Option<&String>| field.cloned().unwrap_or_default();
        vec![text(spec.and_then(|spec| spec.cluster_ip.as_ref())), text(spec.and_then(|spec| spec.type_.as_ref()))]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["spec.clusterIP", "spec.type"]
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, service: &Service, now: Timestamp) -> Vec<Value> {
        columns::cells(service, now)
    }
}

#[cfg(test)]
mod tests;
