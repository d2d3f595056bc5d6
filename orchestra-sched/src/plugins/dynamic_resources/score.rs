//! How far down the lists of alternatives a node's devices are (KEP-4816).

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::resource::v1::AllocationResult;
use orchestra_core::scheduler::{NodeInfo, PodInfo};

use super::{
    Claims, DynamicResources,
    request::{Alternative, Request, Wanted},
};
use crate::framework::{CycleState, PreScore, Score, normalize};

/// The most alternatives of a request (`FirstAvailableDeviceRequestMaxSize`).
const MOST: i64 = 8;

impl PreScore for DynamicResources {
    /// Nodes differ only if there was a choice.
    fn pre_score(&self, state: &mut CycleState, _: &PodInfo, _: &[&NodeInfo]) -> bool {
        let wanted = state.read::<Claims>().and_then(|claims| claims.wanted.as_ref());
        let mut requests = wanted.into_iter().flat_map(|wanted| wanted.wanted.iter()).flat_map(|claim| &claim.requests);
        requests.any(|request| request.alternatives.iter().any(|alternative| alternative.name.is_some()))
    }
}

impl Score for DynamicResources {
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        let wanted = state.read::<Claims>().and_then(|claims| claims.wanted.as_ref());
        wanted.and_then(|wanted| wanted.found.lock().get(node.name()).map(|found| found.score)).unwrap_or(0)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, false);
    }
}

/// Eight for each request that has its first alternative, one less for each that comes before the one it has.
pub(super) fn of(wanted: &[Arc<Wanted>], allocations: &[AllocationResult]) -> i64 {
    wanted.iter().zip(allocations).map(|(wanted, allocation)| of_claim(wanted, allocation)).sum()
}

fn of_claim(wanted: &Wanted, allocation: &AllocationResult) -> i64 {
    let results = allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten());
    let given: BTreeSet<&str> = results.map(|result| result.request.as_str()).collect();
    let rank = |request: &Request| {
        let is_given = |alternative: &Alternative| {
            alternative.name.is_some() && given.contains(request.full_name(alternative).as_str())
        };
        let position = request.alternatives.iter().position(is_given)?;
        Some(MOST - i64::try_from(position).unwrap_or(MOST))
    };
    wanted.requests.iter().filter_map(rank).sum()
}
