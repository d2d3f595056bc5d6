//! Services (`pkg/registry/core/service`).

mod allocation;
mod columns;
mod defaults;
mod families;
mod needs;
mod ranges;
mod update;
mod validation;
mod warnings;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServiceSpec, ServiceStatus};
use orchestra_core::random::Generator;
use serde_json::Value;

use crate::apiserver::{
    field::Errors,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Claim, Column, RequestContext, Strategy},
    validation::name,
};

pub use self::ranges::ServiceRanges;

/// The rules of services.
#[derive(Clone, Copy, Debug, Default)]
pub struct Services {
    ranges: ServiceRanges,
}

/// The row of services, whose addresses are in the default range.
pub fn row() -> Resource {
    row_in(ServiceRanges::default())
}

/// The row of services whose addresses are in `ranges`.
pub fn row_in(ranges: ServiceRanges) -> Resource {
    new_row(Services { ranges })
        .short_names(&["svc"])
        .categories(&["all"])
        .subresources(&[Subresource::Status, Subresource::Proxy])
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
        let balanced = defaults::spec(service.spec.get_or_insert_default());
        let balancer = service.status.get_or_insert_default().load_balancer.get_or_insert_default();
        if balanced {
            defaults::balancer(balancer);
        }
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, service: &mut Service) {
        service.status = Some(ServiceStatus { load_balancer: Some(Default::default()), ..ServiceStatus::default() });
        let spec = service.spec.get_or_insert_default();
        defaults::cluster_ips(spec);
        families::fill(spec, None, &self.ranges);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Service, old: &Service) {
        new.status = old.status.clone();
        let old = old.spec.clone().unwrap_or_default();
        let spec = new.spec.get_or_insert_default();
        update::cluster_ips(spec, &old);
        update::keep_allocated(spec, &old);
        update::drop_unneeded(spec, &old);
        families::fill(spec, Some(&old), &self.ranges);
    }

    fn validate(&self, _ctx: &RequestContext, service: &Service) -> Errors {
        service.spec.as_ref().map(|spec| self.check(spec, None)).unwrap_or_default()
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &Service, old: &Service) -> Errors {
        let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return Errors::new() };
        let mut errors = update::validate(new, old);
        errors.extend(if errors.is_empty() { self.check(new, Some(old)) } else { validation::spec(new) });
        errors
    }

    fn warnings(&self, _ctx: &RequestContext, new: &Service, _old: Option<&Service>) -> Vec<String> {
        warnings::service(new)
    }

    fn assign(&self, service: &mut Service, taken: &BTreeSet<String>, generator: &Generator) -> Result<(), String> {
        service.spec.as_mut().map_or(Ok(()), |spec| allocation::assign(spec, &self.ranges, taken, generator))
    }

    fn claim_prefixes(&self) -> &'static [&'static str] {
        allocation::CLAIMS
    }

    fn claims(&self, service: &Service) -> Vec<Claim> {
        service.spec.as_ref().map(|spec| allocation::claims(spec, &self.ranges)).unwrap_or_default()
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut Service, old: &Service) {
        new.spec = old.spec.clone();
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &Service, _old: &Service) -> Errors {
        validation::status(new)
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

impl Services {
    /// What is wrong with a spec that may replace an `old` one.
    fn check(&self, spec: &ServiceSpec, old: Option<&ServiceSpec>) -> Errors {
        // Kubernetes allocates after all checks, and sees to the families before it does, so that these errors never come with others.
        let mut errors = validation::spec(spec);
        if errors.is_empty() {
            errors = families::validate(spec, old, &self.ranges);
        }
        if errors.is_empty() {
            errors = allocation::validate(spec, &self.ranges);
        }
        errors
    }
}

#[cfg(test)]
mod tests;
