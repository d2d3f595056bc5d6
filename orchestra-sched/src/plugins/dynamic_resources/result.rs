//! What is written of the devices that were found.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::{
    core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm},
    resource::v1::{
        AllocationResult, Device, DeviceAllocationConfiguration, DeviceAllocationResult, DeviceClaimConfiguration,
        DeviceRequestAllocationResult, OpaqueDeviceConfiguration,
    },
};

use super::{
    request::{Alternative, Request, Wanted},
    search::{Chosen, Search},
};

/// The allocation of a claim on the node called `node`.
pub(super) fn allocation(search: &Search<'_>, index: usize, wanted: &Wanted, node: &str) -> AllocationResult {
    let chosen: Vec<_> = search.of(index).collect();
    let results = chosen.iter().enumerate().map(|(ordinal, chosen)| result(search, wanted, ordinal, *chosen));
    let results: Vec<_> = results.collect();
    let config = configuration(wanted, &chosen);
    AllocationResult {
        allocation_timestamp: None,
        devices: Some(DeviceAllocationResult {
            config: (!config.is_empty()).then_some(config),
            results: Some(results),
        }),
        node_selector: node_selector(search, &chosen, node),
    }
}

fn result(
    search: &Search<'_>,
    wanted: &Wanted,
    ordinal: usize,
    (request, alternative, chosen): (&Request, &Alternative, &Chosen),
) -> DeviceRequestAllocationResult {
    let candidate = search.candidates.get(chosen.candidate);
    let conditions = |of: fn(&Device) -> &Option<Vec<String>>| of(candidate?.device).clone();
    let spec = candidate.map(|candidate| &candidate.slice.spec);
    let amounts = chosen.share.as_ref().filter(|amounts| !amounts.is_empty());
    let quantities = amounts.map(|all| all.iter().map(|(name, amount)| (name.clone(), (*amount).into())).collect());
    DeviceRequestAllocationResult {
        admin_access: alternative.admin_access.then_some(true),
        binding_conditions: conditions(|device| &device.binding_conditions),
        binding_failure_conditions: conditions(|device| &device.binding_failure_conditions),
        consumed_capacity: quantities,
        device: candidate.map(|candidate| candidate.device.name.clone()).unwrap_or_default(),
        driver: spec.map(|spec| spec.driver.clone()).unwrap_or_default(),
        pool: spec.map(|spec| spec.pool.name.clone()).unwrap_or_default(),
        request: request.full_name(alternative),
        share_id: chosen.share.as_ref().map(|_| share_id(wanted, ordinal)),
        tolerations: (!alternative.tolerations.is_empty()).then(|| alternative.tolerations.clone()),
    }
}

/// A share's name, which no other share of any claim has: the same decision gives the same.
fn share_id(wanted: &Wanted, ordinal: usize) -> String {
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &wanted.claim.metadata.uid, ordinal).hash(&mut hasher);
        hasher.finish()
    };
    let text = format!("{:016x}{:016x}", part(0), part(1));
    let (a, b, c, d, e) = (&text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..]);
    format!("{a}-{b}-4{c}-8{d}-{e}")
}

/// What classes and claim say to the drivers, for the requests that have devices of it: of all, none is named.
fn configuration(wanted: &Wanted, chosen: &[(&Request, &Alternative, &Chosen)]) -> Vec<DeviceAllocationConfiguration> {
    // The alternatives that were chosen, one a request.
    let mut used: Vec<(&Request, &Alternative)> = Vec::new();
    for (request, alternative, _) in chosen {
        if used.last().is_none_or(|(last, _)| last.name != request.name) {
            used.push((request, alternative));
        }
    }
    let mut config = Vec::new();
    let mut classes: Vec<&str> = Vec::new();
    for (_, alternative) in &used {
        let class = alternative.class.metadata.name.as_deref().unwrap_or_default();
        if classes.contains(&class) {
            continue;
        }
        classes.push(class);
        let of_class = used.iter().filter(|(_, other)| other.class.metadata.name.as_deref() == Some(class));
        let requests: Vec<String> = of_class.map(|(request, alternative)| request.full_name(alternative)).collect();
        for one in alternative.class.spec.config.iter().flatten() {
            config.push(item("FromClass", requests.clone(), one.opaque.clone()));
        }
    }
    let of_claim = wanted.claim.spec.devices.iter().flat_map(|devices| devices.config.iter().flatten());
    for one in of_claim {
        let names = one.requests.as_deref().unwrap_or_default();
        let concerns = |(request, alternative): &(&Request, &Alternative)| {
            names.contains(&request.name) || names.contains(&request.full_name(alternative))
        };
        if names.is_empty() || used.iter().any(concerns) {
            config.push(from_claim(one, names));
        }
    }
    for one in &mut config {
        one.requests =
            one.requests.take().filter(|requests| !requests.is_empty() && requests.len() != wanted.requests.len());
    }
    config
}

fn from_claim(one: &DeviceClaimConfiguration, requests: &[String]) -> DeviceAllocationConfiguration {
    item("FromClaim", requests.to_vec(), one.opaque.clone())
}

fn item(
    source: &str,
    requests: Vec<String>,
    opaque: Option<OpaqueDeviceConfiguration>,
) -> DeviceAllocationConfiguration {
    DeviceAllocationConfiguration { opaque, requests: Some(requests), source: source.to_owned() }
}

/// The nodes on which the devices can be used; `None` if that is all.
fn node_selector(
    search: &Search<'_>,
    chosen: &[(&Request, &Alternative, &Chosen)],
    node: &str,
) -> Option<NodeSelector> {
    let mut term = NodeSelectorTerm::default();
    for candidate in chosen.iter().filter_map(|(.., chosen)| search.candidates.get(chosen.candidate)) {
        let (spec, device) = (&candidate.slice.spec, candidate.device);
        let (name, selector) = match spec.per_device_node_selection {
            Some(true) => (&device.node_name, &device.node_selector),
            _ => (&spec.node_name, &spec.node_selector),
        };
        if name.is_some() || device.binds_to_node == Some(true) {
            return Some(only(node));
        }
        for other in selector.iter().flat_map(|selector| &selector.node_selector_terms) {
            add(&mut term.match_fields, &other.match_fields);
            add(&mut term.match_expressions, &other.match_expressions);
        }
    }
    (term != NodeSelectorTerm::default()).then(|| NodeSelector { node_selector_terms: vec![term] })
}

fn only(node: &str) -> NodeSelector {
    let name = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![name]), match_expressions: None };
    NodeSelector { node_selector_terms: vec![term] }
}

fn add(requirements: &mut Option<Vec<NodeSelectorRequirement>>, others: &Option<Vec<NodeSelectorRequirement>>) {
    for other in others.iter().flatten() {
        let known = requirements.get_or_insert_default();
        if !known.contains(other) {
            known.push(other.clone());
        }
    }
}
