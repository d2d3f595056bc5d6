//! Requests and limits.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity as ApiQuantity};
use orchestra_core::quantity::Quantity;

use super::invalid;
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::qualified_name,
};

/// Resources without a domain that objects of other kinds count (`ResourceQuota`).
const STANDARD: [&str; 18] = [
    "storage",
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "count",
];

/// What the names of resources of huge pages begin with, before the size of a page.
const HUGE_PAGES: &str = "hugepages-";

type List = BTreeMap<String, ApiQuantity>;

pub(super) fn requirements(resources: &ResourceRequirements, path: &Path) -> Errors {
    let none = List::new();
    let limits = resources.limits.as_ref().unwrap_or(&none);
    let requests = resources.requests.as_ref().unwrap_or(&none);
    let mut errors = Errors::new();
    for (name, quantity) in limits {
        let at = path.child("limits").key(name);
        errors.extend(amount(name, quantity, &at));
        errors.extend(whole_pages(name, quantity, &at));
    }
    for (name, quantity) in requests {
        let at = path.child("requests").key(name);
        errors.extend(amount(name, quantity, &at));
        errors.extend(whole_pages(name, quantity, &at));
        errors.extend(within_limit(name, quantity, limits.get(name), path));
    }
    let has = |matches: fn(&str) -> bool| limits.keys().chain(requests.keys()).any(|name| matches(name));
    if has(is_huge_page) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
    errors
}

/// Amounts by resource at `path`.
pub(in crate::apiserver::kinds) fn list(list: &List, path: &Path) -> Errors {
    list.iter().flat_map(|(name, quantity)| amount(name, quantity, &path.key(name))).collect()
}

fn amount(name: &str, quantity: &ApiQuantity, path: &Path) -> Errors {
    let mut errors = resource_name(name, true, path);
    match quantity.0.parse::<Quantity>() {
        Ok(parsed) if parsed.is_negative() => {
            errors.push(Error::invalid(path, &quantity.0, "must be greater than or equal to 0"));
        }
        Ok(parsed) if is_extended(name) && !parsed.is_whole() => {
            errors.push(Error::invalid(path, &quantity.0, "must be an integer"));
        }
        Ok(_) => {}
        // Decoding refuses these already.
        Err(error) => errors.push(Error::invalid(path, &quantity.0, error.to_string())),
    }
    errors
}

fn within_limit(name: &str, request: &ApiQuantity, limit: Option<&ApiQuantity>, path: &Path) -> Option<Error> {
    let overcommits = overcommits(name);
    let Some(limit) = limit else {
        let why = "Limit must be set for non overcommitable resources";
        return (!overcommits).then(|| Error::required(&path.child("limits"), why));
    };
    let (Ok(amount), Ok(most)) = (request.0.parse::<Quantity>(), limit.0.parse::<Quantity>()) else { return None };
    let bound = if !overcommits && amount != most {
        "equal to"
    } else if amount > most {
        "less than or equal to"
    } else {
        return None;
    };
    let why = format!("must be {bound} {name} limit of {}", limit.0);
    Some(Error::invalid(&path.child("requests"), &request.0, why))
}

/// What is wrong with the name of a resource, be it one that a container may ask for or any.
pub(in crate::apiserver::kinds) fn resource_name(name: &str, of_container: bool, path: &Path) -> Errors {
    let errors = invalid(path, name, qualified_name::key(name));
    if !errors.is_empty() {
        return errors;
    }
    let standard_for_containers = matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name);
    let mut why = Vec::new();
    if !name.contains('/') && !standard_for_containers {
        if !STANDARD.contains(&name) {
            why.push("must be a standard resource type or fully qualified".to_owned());
        }
        if of_container {
            why.push("must be a standard resource for containers".to_owned());
        }
    } else if !is_native(name) && !is_extended(name) {
        why.push("doesn't follow extended resource name standard".to_owned());
    }
    invalid(path, name, why)
}

/// Huge pages come as whole pages, of the size in the resource's name.
fn whole_pages(name: &str, quantity: &ApiQuantity, path: &Path) -> Option<Error> {
    let size = name.strip_prefix(HUGE_PAGES)?.parse::<Quantity>().ok();
    let asked = quantity.0.parse::<Quantity>().ok()?;
    let is_whole = size.is_some_and(|size| size.is_whole() && size.value() > 0 && asked.value() % size.value() == 0);
    let why = || format!("{} is not positive integer multiple of {name}", quantity.0);
    (!is_whole).then(|| Error::invalid(path, &quantity.0, why()))
}

/// Whether more may be allowed than is requested.
pub(in crate::apiserver::kinds) fn overcommits(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

/// Whether Kubernetes itself defines the resource.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a device plugin defines it.
pub(in crate::apiserver::kinds) fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && qualified_name::key(&format!("requests.{name}")).is_empty()
}
