//! Dynamic resource allocation with structured parameters (KEP-4381).

mod args;
mod capacity;
mod claims;
mod constraint;
mod inventory;
mod metrics;
mod pre_bind;
mod readiness;
mod request;
mod requeue;
mod result;
mod search;
mod selectors;
mod taint;
mod taken;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::resource::v1::{AllocationResult, DeviceClass, ResourceClaim, ResourceSlice};
use orchestra_core::{
    ObjectKey,
    device::{MAX_USERS, allocation, is_reserved_for, reserved_for},
    scheduler::{ClaimAllocation, NodeInfo, ObjectKind, Placement, PodInfo, Rejection, Snapshot},
    selector::node,
};
use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::args::DynamicResourcesArgs;
use self::{
    claims::entries,
    inventory::Inventory,
    request::Wanted,
    search::{Search, Stop},
    selectors::Selectors,
    taken::Taken,
};
use super::recent::Recent;
use crate::framework::{
    CycleState, Failure, Filter, Plugin, PostFilter, PostFilterOutcome, PreBind, PreEnqueue, PreFilter,
    PreFilterOutcome, Requeue, Reserve,
};

/// Lets a pod go only where its claims of devices can be used, and chooses devices for those that have none.
///
/// What it chooses is written by whoever asked for the decision; until the API server tells of that, the devices count as taken
/// ([`Snapshot::pending_allocations`]). Before a pod is bound it waits until devices with binding conditions (KEP-5007) are ready; those that
/// are not in time, or fail, are given back, so that others may be chosen. Extended resources are not provided by devices (KEP-5004).
///
/// What is off by default in Kubernetes 1.36 is not there: DeviceTaintRules (`DRADeviceTaintRules`), attributes that are lists
/// (`DRAListTypeAttributes`), claims of pod groups (`DRAWorkloadResourceClaims`).
pub struct DynamicResources {
    filter_timeout: Option<Duration>,
    binding_timeout: Duration,
    selectors: Arc<Selectors>,
    inventories: Recent<Inventory>,
    taken: Recent<Taken>,
}

impl DynamicResources {
    /// The plugin with these arguments.
    ///
    /// # Errors
    /// What is wrong with them, in Kubernetes' words.
    pub fn new(args: DynamicResourcesArgs) -> Result<Self, String> {
        let (filter_timeout, binding_timeout) = args.read()?;
        Ok(Self { filter_timeout, binding_timeout, ..Self::default() })
    }
}

impl Default for DynamicResources {
    fn default() -> Self {
        Self {
            filter_timeout: Some(args::FILTER_TIMEOUT),
            binding_timeout: args::BINDING_TIMEOUT,
            selectors: Arc::default(),
            inventories: Recent::new(1),
            taken: Recent::new(1),
        }
    }
}

impl Plugin for DynamicResources {
    fn name(&self) -> &'static str {
        "DynamicResources"
    }

    fn as_pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        Some(self)
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        Some(self)
    }

    fn as_reserve(&self) -> Option<&dyn Reserve> {
        Some(self)
    }

    fn as_pre_bind(&self) -> Option<&dyn PreBind> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }

    fn uses(&self) -> Vec<ObjectKind> {
        vec![ObjectKind::of::<ResourceClaim>(), ObjectKind::of::<ResourceSlice>(), ObjectKind::of::<DeviceClass>()]
    }
}

impl PreEnqueue for DynamicResources {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        claims::keys(pod).map(drop).map_err(|error| Rejection::new(error.to_string()).unresolvable())
    }
}

/// What is known of the pod's claims.
#[derive(Default)]
struct Claims {
    all: Vec<Arc<ResourceClaim>>,
    /// Those that have no devices.
    wanted: Option<Allocator>,
    /// Those whose devices failed, or were not ready in time.
    unready: BTreeSet<usize>,
    /// Those that cannot be used on some node, by index.
    unavailable: Mutex<BTreeSet<usize>>,
}

/// What is needed to find devices on a node.
struct Allocator {
    wanted: Vec<Wanted>,
    inventory: Arc<Inventory>,
    taken: Arc<Taken>,
    selectors: Arc<Selectors>,
    /// What was found on the nodes that were looked at.
    found: Mutex<BTreeMap<Arc<str>, Vec<AllocationResult>>>,
}

impl PreFilter for DynamicResources {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        state.write(Claims::default());
        if entries(pod).is_empty() {
            return PreFilterOutcome::Skip;
        }
        match self.claims(pod, snapshot) {
            Ok(claims) if claims.all.is_empty() => PreFilterOutcome::Skip,
            Ok(claims) => {
                state.write(claims);
                PreFilterOutcome::Continue
            }
            Err(rejection) if rejection.is_failure() => PreFilterOutcome::Fail(rejection.reasons().join(", ")),
            Err(rejection) => PreFilterOutcome::Reject(rejection),
        }
    }
}

impl DynamicResources {
    fn claims(&self, pod: &PodInfo, snapshot: &Snapshot) -> Result<Claims, Rejection> {
        let unusable = |why: String| Rejection::new(why).unresolvable();
        let objects = snapshot.objects();
        let all = claims::find(pod, objects).map_err(unusable)?;
        let mut wanted = Vec::new();
        for claim in &all {
            let key = ObjectKey::of(&***claim);
            if allocation(claim).is_some() {
                if reserved_for(claim).len() >= MAX_USERS && !is_reserved_for(claim, pod.id()) {
                    return Err(unusable("resourceclaim in use".to_owned()));
                }
            } else if snapshot.pending_allocations().contains(&key) {
                return Err(unusable(format!("resource claim {key} is in the process of being allocated")));
            } else {
                wanted.push(Wanted::read(claim, objects)?);
            }
        }
        let wanted = (!wanted.is_empty()).then(|| self.allocator(wanted, snapshot));
        let is_unready = |claim: &ResourceClaim| match readiness::is_ready(claim) {
            Ok(is_ready) => {
                let now = snapshot.time().filter(|_| !is_ready);
                now.is_some_and(|now| readiness::is_overdue(claim, self.binding_timeout, now))
            }
            Err(_) => true,
        };
        let unready = all.iter().enumerate().filter(|(_, claim)| is_unready(claim)).map(|(index, _)| index).collect();
        let all = all.into_iter().cloned().collect();
        Ok(Claims { all, wanted, unready, unavailable: Mutex::default() })
    }

    fn allocator(&self, wanted: Vec<Wanted>, snapshot: &Snapshot) -> Allocator {
        let objects = snapshot.objects();
        let inventory = self.inventories.get(|kept| kept.is_of(objects), || Inventory::read(objects), |_| {});
        let mut taken = self.taken.get(|kept| kept.is_of(snapshot), || Taken::read(snapshot), |_| {});
        for pending in snapshot.pending_allocations().iter() {
            Arc::make_mut(&mut taken).add(pending);
        }
        Allocator { wanted, inventory, taken, selectors: Arc::clone(&self.selectors), found: Mutex::default() }
    }
}

impl Filter for DynamicResources {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(claims) = state.read::<Claims>() else { return Ok(()) };
        let is_elsewhere = |claim: &ResourceClaim| {
            let selector = allocation(claim).and_then(|allocation| allocation.node_selector.as_ref());
            selector.is_some_and(|selector| !node::selects(selector, node.name(), node.labels()))
        };
        let is_unavailable =
            |(index, claim): &(usize, &Arc<ResourceClaim>)| claims.unready.contains(index) || is_elsewhere(claim);
        let unavailable: Vec<usize> =
            claims.all.iter().enumerate().filter(is_unavailable).map(|(index, _)| index).collect();
        if let Some(allocator) = &claims.wanted {
            let deadline = self.filter_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            let found = allocator.allocate(node, &|| deadline.is_some_and(|deadline| Instant::now() >= deadline))?;
            allocator.found.lock().insert(node.name().clone(), found);
        }
        if unavailable.is_empty() {
            return Ok(());
        }
        claims.unavailable.lock().extend(unavailable);
        Err(Rejection::new("resourceclaim not available on the node").unresolvable())
    }
}

impl Allocator {
    /// Devices of the node for all claims, until it `is_over`.
    fn allocate(&self, node: &NodeInfo, is_over: &dyn Fn() -> bool) -> Result<Vec<AllocationResult>, Rejection> {
        let mut search = Search::new(&self.wanted, &self.inventory, &self.taken, &self.selectors, node, is_over);
        let found = search.run().map_err(|stop| match stop {
            Stop::TimedOut => Rejection::new("timed out trying to allocate devices").unresolvable(),
            Stop::OnNode(why) => Rejection::new(why).unresolvable(),
            Stop::Failed(error) => Rejection::failure(error),
        })?;
        if !found {
            return Err(Rejection::new("cannot allocate all claims").unresolvable());
        }
        let of = |(index, wanted)| result::allocation(&search, index, wanted, node.name());
        Ok(self.wanted.iter().enumerate().map(of).collect())
    }
}

impl Reserve for DynamicResources {
    fn reserve(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo, placement: &mut Placement) {
        let Some(claims) = state.read::<Claims>() else { return };
        let found = claims.wanted.as_ref().and_then(|allocator| allocator.found.lock().remove(node.name()));
        let mut found = found.into_iter().flatten();
        // What it uses already and is ready needs nothing more.
        let is_done =
            |claim: &ResourceClaim| is_reserved_for(claim, pod.id()) && readiness::is_ready(claim) == Ok(true);
        for claim in claims.all.iter().filter(|claim| !is_done(claim)) {
            // The same order as when they were looked for.
            let allocation = if allocation(claim).is_none() { found.next() } else { None };
            let uid = claim.metadata.uid.clone().unwrap_or_default();
            placement.claims.push(ClaimAllocation { claim: ObjectKey::of(&**claim), uid, allocation });
        }
    }
}

impl PostFilter for DynamicResources {
    fn post_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot, _: &Failure<'_>) -> PostFilterOutcome {
        let Some(claims) = state.read::<Claims>() else {
            // Another plugin rejected the pod before. Kubernetes' then does not find what it keeps of the pod, and says so.
            return PostFilterOutcome::Failed("not found".to_owned());
        };
        if claims.all.is_empty() {
            return PostFilterOutcome::Unhelpful("no new claims to deallocate".to_owned());
        }
        let is_free = |claim: &ResourceClaim| reserved_for(claim).iter().all(|user| *user.uid == **pod.id());
        let unavailable = claims.unavailable.lock();
        let mut candidates = unavailable.iter().filter_map(|index| claims.all.get(*index));
        match candidates.find(|claim| is_free(claim)) {
            Some(claim) => {
                let done = "deallocation of ResourceClaim completed";
                PostFilterOutcome::Deallocates(ObjectKey::of(&**claim), done.to_owned())
            }
            None => PostFilterOutcome::Unhelpful("still not schedulable".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
