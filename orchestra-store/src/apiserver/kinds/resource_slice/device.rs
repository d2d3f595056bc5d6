//! One device of a slice.

use k8s_openapi::api::resource::v1::{Device, DeviceAttribute, DeviceCounterConsumption};
use orchestra_core::device::is_version;

use super::{
    super::{
        device::{each, label, qualified, set, taint},
        pod,
        resource_claim::Name,
    },
    capacity, counters, node_name,
};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::label_selector,
};

const MAX_ATTRIBUTES_AND_CAPACITIES: usize = 32;
const MAX_TAINTS: usize = 16;
const MAX_CONSUMPTIONS: usize = 2;
const MAX_CONDITIONS: usize = 4;
const MAX_VALUE: usize = 64;

/// Checks a device; of what it was before, what is as it was.
pub(super) fn validate(device: &Device, before: Option<&Device>, per_device_nodes: bool, path: &Path) -> Errors {
    let mut errors: Errors = label(&device.name, &path.child("name")).into_iter().collect();
    let count =
        device.attributes.as_ref().map_or(0, |all| all.len()) + device.capacity.as_ref().map_or(0, |all| all.len());
    if count > MAX_ATTRIBUTES_AND_CAPACITIES {
        let why =
            format!("the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES_AND_CAPACITIES}");
        errors.push(Error::invalid(path, count, why));
    }
    let attributes = path.child("attributes");
    for (name, value) in device.attributes.iter().flatten() {
        errors.extend(qualified(name, &attributes));
        errors.extend(attribute(value, &attributes.key(name)));
    }
    if before.is_none_or(|before| before.capacity != device.capacity) {
        let (path, is_shared) = (path.child("capacity"), device.allow_multiple_allocations.unwrap_or_default());
        for (name, amount) in device.capacity.iter().flatten() {
            errors.extend(qualified(name, &path));
            errors.extend(capacity::validate(amount, is_shared, &path.key(name)));
        }
    }
    if before.is_none_or(|before| before.taints != device.taints) {
        errors.extend(each(device.taints.as_deref(), MAX_TAINTS, &path.child("taints"), taint));
    }
    let consumptions = device.consumes_counters.as_deref();
    let consumptions_path = path.child("consumesCounters");
    let key = |one: &DeviceCounterConsumption| Name(one.counter_set.clone());
    errors.extend(set(consumptions, MAX_CONSUMPTIONS, &consumptions_path, key, counters::consumed));
    errors.extend(nodes(device, per_device_nodes, path));
    errors.extend(conditions(device, path));
    errors
}

fn attribute(attribute: &DeviceAttribute, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let texts = [("string", &attribute.string), ("version", &attribute.version)];
    for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?))) {
        let path = path.child(field);
        if field == "version" && !is_version(text) {
            errors.push(Error::invalid(&path, text, "must be a string compatible with semver.org spec 2.0.0"));
        }
        if text.len() > MAX_VALUE {
            errors.push(Error::too_long(&path, MAX_VALUE));
        }
    }
    let set =
        [attribute.bool.is_some(), attribute.int.is_some(), attribute.string.is_some(), attribute.version.is_some()];
    match set.into_iter().filter(|set| *set).count() {
        0 => errors.push(Error::invalid(path, "", "exactly one value must be specified")),
        1 => {}
        _ => errors.push(Error::invalid(path, Shown::json(attribute), "exactly one value must be specified")),
    }
    errors
}

/// Where a device can be used, if its slice leaves that to each.
fn nodes(device: &Device, per_device: bool, path: &Path) -> Errors {
    const ONE_OF: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    if !per_device {
        let set = device.node_name.is_some() || device.node_selector.is_some() || device.all_nodes.is_some();
        let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        return set.then(|| Error::invalid(path, Shown::raw("null"), why)).into_iter().collect();
    }
    let (mut errors, mut ways) = (Errors::new(), Vec::new());
    match device.node_name.as_deref() {
        None => {}
        Some("") => errors.push(Error::invalid(&path.child("nodeName"), "", "must not be empty")),
        Some(node) => {
            ways.push("`nodeName`");
            errors.extend(node_name(node, &path.child("nodeName")));
        }
    }
    if let Some(selector) = &device.node_selector {
        ways.push("`nodeSelector`");
        pod::node_selector(selector, &path.child("nodeSelector"), &mut errors);
    }
    match device.all_nodes {
        None => {}
        Some(true) => ways.push("`allNodes`"),
        Some(false) => {
            errors.push(Error::invalid(&path.child("allNodes"), false, "must be either unset or set to true"));
        }
    }
    match ways.as_slice() {
        [] => errors.push(Error::required(path, ONE_OF)),
        [_] => {}
        several => errors.push(Error::invalid(path, &format!("{{{}}}", several.join(", ")), ONE_OF)),
    }
    errors
}

/// What has to come true of an allocated device before its pod is bound, and what must not: both or none.
fn conditions(device: &Device, path: &Path) -> Errors {
    let wanted = device.binding_conditions.as_deref().unwrap_or_default();
    let failures = device.binding_failure_conditions.as_deref().unwrap_or_default();
    let (wanted_path, failures_path) = (path.child("bindingConditions"), path.child("bindingFailureConditions"));
    let key = |name: &String| Name(name.clone());
    let check = |name: &String, path: &Path| label_selector::key(name, path);
    let mut errors = set(Some(wanted), MAX_CONDITIONS, &wanted_path, key, check);
    errors.extend(set(Some(failures), MAX_CONDITIONS, &failures_path, key, check));
    for (index, name) in failures.iter().enumerate().filter(|(_, name)| wanted.contains(name)) {
        let why = "bindingFailureConditions must not overlap with bindingConditions";
        errors.push(Error::invalid(&failures_path.index(index), name, why));
    }
    if wanted.is_empty() && !failures.is_empty() {
        let why = "bindingConditions are required to use bindingFailureConditions";
        errors.push(Error::invalid(&wanted_path, Shown::json(&device.binding_conditions), why));
    }
    if failures.is_empty() && !wanted.is_empty() {
        let why = "bindingFailureConditions are required to use bindingConditions";
        errors.push(Error::invalid(&failures_path, Shown::json(&device.binding_failure_conditions), why));
    }
    errors
}
