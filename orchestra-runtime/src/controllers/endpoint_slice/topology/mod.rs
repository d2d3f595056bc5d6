//! Hints by which each zone has endpoints for its share of the cluster's processors (`service.kubernetes.io/topology-mode: Auto`, KEP-2433).
//!
//! ```text
//!   nodes ──► zones: the share of each ──► allocation: how many endpoints each is to have ──► hints
//!                                             └── or why there are none
//! ```
//! An endpoint is for its own zone unless that has too many and another too few. What is not to be changed anyway keeps its hints as long as
//! no zone has too many by them.

mod allocation;
mod balance;
mod zones;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::{Endpoint, EndpointHints, EndpointSlice, ForZone},
};
use orchestra_core::{ObjectKey, event_recorder::EventType};
use parking_lot::Mutex;

pub(super) use self::zones::{Zones, is_news};
use self::{allocation::Allocations, balance::transfers};

/// How a Service asks for them, the older way first: that one counts.
const ANNOTATIONS: [&str; 2] = ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];
const DISABLED: &str = "TopologyAwareHintsDisabled";

/// Whether a Service asks for hints by zones.
pub(super) fn is_asked_for(service: &Service) -> bool {
    let annotations = service.metadata.annotations.as_ref();
    let mode = ANNOTATIONS.iter().find_map(|name| annotations?.get(*name));
    mode.is_some_and(|mode| mode == "Auto" || mode == "auto")
}

/// How many endpoints are for each zone.
type Counts = BTreeMap<String, usize>;

/// Gives the endpoints of one family their hints: those of `create` and `update`, and of what becomes a part of `update` because it has hints
/// that do not do. The error tells why they have none.
pub(super) fn hint(
    zones: &Zones,
    create: &mut [EndpointSlice],
    update: &mut Vec<EndpointSlice>,
    unchanged: Vec<Arc<EndpointSlice>>,
) -> Result<(), String> {
    let ready = |slice: &EndpointSlice| endpoints(slice).filter(|endpoint| is_ready(endpoint)).count();
    let changing: usize = create.iter().chain(&*update).map(ready).sum();
    let total = changing + unchanged.iter().map(|slice| ready(slice)).sum::<usize>();
    let allocations = match Allocations::of(zones, total) {
        Ok(allocations) => allocations,
        Err(why) => {
            unhint(create, update, unchanged);
            return Err(why);
        }
    };
    let (kept, mut counts) = kept(&allocations, unchanged, update);
    let slices = create.iter_mut().chain(update.iter_mut());
    let mut changing: Vec<&mut Endpoint> =
        slices.flat_map(|slice| slice.endpoints.iter_mut().flatten()).filter(|endpoint| is_ready(endpoint)).collect();
    let mut without_zone = false;
    for endpoint in &mut changing {
        match endpoint.zone.clone().filter(|zone| !zone.is_empty()) {
            Some(zone) => {
                *counts.entry(zone.clone()).or_default() += 1;
                endpoint.hints = Some(for_zone(zone));
            }
            None => without_zone = true,
        }
    }
    if without_zone {
        unhint(create, update, kept);
        return Err("One or more endpoints do not have a zone specified".to_owned());
    }
    let (mut giving, mut receiving) = transfers(&allocations, &counts);
    for endpoint in changing {
        let zone = endpoint.zone.clone().unwrap_or_default();
        let Some(left) = giving.get_mut(&zone).filter(|left| **left > 0) else { continue };
        let Some((receiver, wanted)) = receiving.iter_mut().find(|(_, wanted)| **wanted > 0) else { break };
        (*left, *wanted) = (*left - 1, *wanted - 1);
        endpoint.hints = Some(for_zone(receiver.clone()));
    }
    Ok(())
}

/// What stays as it is, and for which zones that is.
fn kept(
    allocations: &Allocations,
    unchanged: Vec<Arc<EndpointSlice>>,
    update: &mut Vec<EndpointSlice>,
) -> (Vec<Arc<EndpointSlice>>, Counts) {
    let (mut kept, mut counts) = (Vec::new(), Counts::new());
    for slice in unchanged {
        match counts_of(&slice).filter(|own| allocations.allow(&counts, own)) {
            Some(own) => {
                own.into_iter().for_each(|(zone, count)| *counts.entry(zone).or_default() += count);
                kept.push(slice);
            }
            None => update.push(EndpointSlice::clone(&slice)),
        }
    }
    (kept, counts)
}

/// How many endpoints of a slice are for each zone; `None` if one is for none.
fn counts_of(slice: &EndpointSlice) -> Option<Counts> {
    let mut counts = Counts::new();
    for endpoint in endpoints(slice).filter(|endpoint| is_ready(endpoint)) {
        let zones = endpoint.hints.as_ref()?.for_zones.as_deref().filter(|zones| !zones.is_empty())?;
        zones.iter().for_each(|zone| *counts.entry(zone.name.clone()).or_default() += 1);
    }
    Some(counts)
}

/// Takes away all hints that there are.
fn unhint(create: &mut [EndpointSlice], update: &mut Vec<EndpointSlice>, unchanged: Vec<Arc<EndpointSlice>>) {
    let hinted = unchanged.iter().filter(|slice| endpoints(slice).any(|endpoint| endpoint.hints.is_some()));
    update.extend(hinted.map(|slice| EndpointSlice::clone(slice)));
    for slice in create.iter_mut().chain(update) {
        slice.endpoints.iter_mut().flatten().for_each(|endpoint| endpoint.hints = None);
    }
}

fn endpoints(slice: &EndpointSlice) -> impl Iterator<Item = &Endpoint> {
    slice.endpoints.iter().flatten()
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
}

fn for_zone(name: String) -> EndpointHints {
    EndpointHints { for_nodes: None, for_zones: Some(vec![ForZone { name }]) }
}

/// What came of the hints of one family of a Service: nothing was asked for, or they were given, or why not.
pub(super) type Outcome = Option<Result<(), String>>;

/// An event about it: kind, reason and message.
pub(super) type News = (EventType, &'static str, String);

/// Of which services and families it was told that there are hints.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<BTreeSet<(ObjectKey, &'static str)>>);

impl Told {
    /// What is to be told of an outcome now.
    pub(super) fn news(&self, service: &ObjectKey, family: &'static str, outcome: Outcome) -> Option<News> {
        let key = (service.clone(), family);
        let (kind, reason, message) = match outcome {
            Some(Ok(())) => {
                let is_new = self.0.lock().insert(key);
                is_new.then_some((
                    EventType::Normal,
                    "TopologyAwareHintsEnabled",
                    "Topology Aware Hints has been enabled".to_owned(),
                ))?
            }
            Some(Err(why)) => {
                self.0.lock().remove(&key);
                (EventType::Warning, DISABLED, why)
            }
            None => {
                let was = self.0.lock().remove(&key);
                was.then_some((EventType::Warning, DISABLED, "Topology Aware Hints has been disabled".to_owned()))?
            }
        };
        Some((kind, reason, format!("{message}, addressType: {family}")))
    }

    /// The Service is gone.
    pub(super) fn forget(&self, service: &ObjectKey) {
        self.0.lock().retain(|(other, _)| other != service);
    }
}

#[cfg(test)]
mod tests;
