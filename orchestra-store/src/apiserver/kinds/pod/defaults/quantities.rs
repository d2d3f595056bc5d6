//! Quantities in canonical form, and requests that follow from limits.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, PodSpec, ResourceFieldSelector, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;

type List = BTreeMap<String, ApiQuantity>;

/// `1024Mi` becomes `1Gi`. What is no quantity stays as it is.
pub(super) fn canonical(quantity: &mut ApiQuantity) {
    if let Ok(parsed) = quantity.0.trim().parse::<Quantity>() {
        quantity.0 = parsed.to_string();
    }
}

/// A list of resources is exact to thousandths; what is finer is rounded up.
pub(in crate::apiserver::kinds) fn list(list: &mut Option<List>) {
    for quantity in list.iter_mut().flat_map(BTreeMap::values_mut) {
        let Ok(parsed) = quantity.0.trim().parse::<Quantity>() else { continue };
        let milli = Quantity::from_milli(parsed.milli_value());
        // Too large amounts saturate in thousandths, but have none that could be rounded.
        let exact = parsed.is_whole() || milli == parsed;
        quantity.0 = if exact { parsed } else { milli }.to_string();
    }
    list.take_if(|list| list.is_empty());
}

pub(super) fn requirements(resources: &mut ResourceRequirements) {
    list(&mut resources.limits);
    list(&mut resources.requests);
    super::none(&mut resources.claims);
}

/// A divisor is always shown; zero means one.
pub(super) fn divisor(field: &mut ResourceFieldSelector) {
    canonical(field.divisor.get_or_insert_with(|| ApiQuantity("0".to_owned())));
    super::empty(&mut field.container_name);
}

/// A container that names a limit alone requests as much.
pub(super) fn requests_from_limits(container: &mut Container) {
    let Some(resources) = &mut container.resources else { return };
    let Some(limits) = &resources.limits else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// A pod that names a limit for all its containers requests what they request, or else as much as the limit (KEP-2837).
pub(super) fn pod_requests(spec: &mut PodSpec) {
    let Some(resources) = &mut spec.resources else { return };
    let Some(limits) = &resources.limits else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        let requested = spec.containers.iter().filter_map(|c| c.resources.as_ref()?.requests.as_ref()?.get(name));
        let sum: Option<Quantity> =
            requested.filter_map(|quantity| quantity.0.parse::<Quantity>().ok()).reduce(|sum, next| sum + next);
        let amount = sum.map_or_else(|| limit.clone(), |sum| ApiQuantity(sum.to_string()));
        requests.entry(name.clone()).or_insert(amount);
    }
}
