//! Dynamic resource allocation with structured parameters (KEP-4381).

mod args;
mod capacity;
mod claims;
mod constraint;
mod delete;
pub(crate) mod extended;
mod inventory;
mod metrics;
mod pre_bind;
mod readiness;
mod request;
mod requeue;
mod result;
mod score;
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
    scheduler::{
        ClaimAllocation, ExtendedClaim, NodeInfo, ObjectKind, Objects, Placement, PodInfo, Rejection, Snapshot,
    },
    selector::node,
};
use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::args::DynamicResourcesArgs;
pub(crate) use self::delete::delete;
use self::{
    claims::entries,
    extended::{Extended, Needed},
    inventory::Inventory,
    request::Wanted,
    search::{Search, Stop},
    selectors::Selectors,
    taken::Taken,
};
use super::recent::Recent;
use crate::framework::{
    CycleState, Failure, Filter, Plugin, PostFilter, PostFilterOutcome, PreBind, PreEnqueue, PreFilter,
    PreFilterOutcome, PreScore, Requeue, Reserve, Score,
};

/// Lets a pod go only where its claims of devices can be used, and chooses devices for those that have none.
///
/// What it chooses is written by whoever asked for the decision; until the API server tells of that, the devices count as taken
/// ([`Snapshot::pending_allocations`]). Before a pod is bound it waits until devices with binding conditions (KEP-5007) are ready; those that
/// are not in time, or fail, are given back, so that others may be chosen.
/// Where a node does not have an extended resource itself, devices of a class that provides it do (KEP-5004): a claim is made for them.
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

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
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
    /// For those that have no devices, and for extended resources.
    wanted: Option<Allocator>,
    extended: Option<Extended>,
    /// Those whose devices failed, or were not ready in time.
    unready: BTreeSet<usize>,
    /// Those that cannot be used on some node, by index.
    unavailable: Mutex<BTreeSet<usize>>,
}

/// What is needed to find devices on a node.
struct Allocator {
    wanted: Vec<Arc<Wanted>>,
    inventory: Arc<Inventory>,
    taken: Arc<Taken>,
    selectors: Arc<Selectors>,
    /// The classes of what nodes need for extended resources.
    objects: Objects,
    /// What was found on the nodes that were looked at.
    found: Mutex<BTreeMap<Arc<str>, Found>>,
}

/// Devices of a node.
struct Found {
    /// For the claims in their order, and then for extended resources.
    allocations: Vec<AllocationResult>,
    extended: Option<ExtendedClaim>,
    score: i64,
}

impl PreFilter for DynamicResources {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        state.write(Claims::default());
        let extended = Extended::of(pod, snapshot.objects());
        if entries(pod).is_empty() && extended.is_none() {
            return PreFilterOutcome::Skip;
        }
        match self.claims(pod, extended, snapshot) {
            Ok(claims) if claims.is_empty() => PreFilterOutcome::Skip,
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
    fn claims(&self, pod: &PodInfo, extended: Option<Extended>, snapshot: &Snapshot) -> Result<Claims, Rejection> {
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
                wanted.push(Arc::new(Wanted::read(claim, objects)?));
            }
        }
        let is_needed = !wanted.is_empty() || extended.is_some();
        let wanted = is_needed.then(|| self.allocator(wanted, snapshot));
        let is_unready = |claim: &ResourceClaim| match readiness::is_ready(claim) {
            Ok(is_ready) => {
                let now = snapshot.time().filter(|_| !is_ready);
                now.is_some_and(|now| readiness::is_overdue(claim, self.binding_timeout, now))
            }
            Err(_) => true,
        };
        let unready = all.iter().enumerate().filter(|(_, claim)| is_unready(claim)).map(|(index, _)| index).collect();
        let all = all.into_iter().cloned().collect();
        Ok(Claims { all, wanted, extended, unready, unavailable: Mutex::default() })
    }

    fn allocator(&self, wanted: Vec<Arc<Wanted>>, snapshot: &Snapshot) -> Allocator {
        let objects = snapshot.objects();
        let inventory = self.inventories.get(|kept| kept.is_of(objects), || Inventory::read(objects), |_| {});
        let mut taken = self.taken.get(|kept| kept.is_of(snapshot), || Taken::read(snapshot), |_| {});
        for pending in snapshot.pending_allocations().iter() {
            Arc::make_mut(&mut taken).add(pending);
        }
        Allocator {
            wanted,
            inventory,
            taken,
            selectors: Arc::clone(&self.selectors),
            objects: objects.clone(),
            found: Mutex::default(),
        }
    }
}

impl Filter for DynamicResources {
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(claims) = state.read::<Claims>() else { return Ok(()) };
        let needed = claims.needed(pod, node)?;
        let is_elsewhere = |claim: &ResourceClaim| {
            let selector = allocation(claim).and_then(|allocation| allocation.node_selector.as_ref());
            selector.is_some_and(|selector| !node::selects(selector, node.name(), node.labels()))
        };
        let is_unavailable =
            |(index, claim): &(usize, &Arc<ResourceClaim>)| claims.unready.contains(index) || is_elsewhere(claim);
        let unavailable: Vec<usize> =
            claims.all.iter().enumerate().filter(is_unavailable).map(|(index, _)| index).collect();
        if let Some(allocator) = claims.wanted.as_ref().filter(|all| !all.wanted.is_empty() || needed.is_some()) {
            let deadline = self.filter_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            let found =
                allocator.allocate(node, needed, &|| deadline.is_some_and(|deadline| Instant::now() >= deadline))?;
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
    /// Devices of the node for all claims, and for what it needs beside them, until it `is_over`.
    fn allocate(
        &self,
        node: &NodeInfo,
        needed: Option<Needed>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Found, Rejection> {
        let extended = needed.as_ref().map(|needed| &needed.wanted);
        let wanted: Vec<Arc<Wanted>> = self.wanted.iter().chain(extended).cloned().collect();
        let mut search = Search::new(&wanted, &self.inventory, &self.taken, &self.selectors, node, is_over);
        let found = search.run().map_err(|stop| match stop {
            Stop::TimedOut => Rejection::new("timed out trying to allocate devices").unresolvable(),
            Stop::OnNode(why) => Rejection::new(why).unresolvable(),
            Stop::Failed(error) => Rejection::failure(error),
        })?;
        if !found {
            return Err(Rejection::new("cannot allocate all claims").unresolvable());
        }
        let of = |(index, wanted): (usize, &Arc<Wanted>)| result::allocation(&search, index, wanted, node.name());
        let allocations: Vec<_> = wanted.iter().enumerate().map(of).collect();
        let score = score::of(&wanted, &allocations);
        Ok(Found { allocations, extended: needed.map(|needed| needed.claim), score })
    }
}

impl Claims {
    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.extended.is_none()
    }

    /// What the node needs for extended resources.
    fn needed(&self, pod: &PodInfo, node: &NodeInfo) -> Result<Option<Needed>, Rejection> {
        match (&self.extended, &self.wanted) {
            (Some(extended), Some(allocator)) => extended.needed(pod, node, &allocator.objects),
            _ => Ok(None),
        }
    }

    /// The claim that is left of an attempt before this one.
    fn stale(&self) -> Option<&Arc<ResourceClaim>> {
        self.extended.as_ref().and_then(|extended| extended.stale.as_ref())
    }
}

impl Reserve for DynamicResources {
    fn reserve(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo, placement: &mut Placement) {
        let Some(claims) = state.read::<Claims>() else { return };
        let found = claims.wanted.as_ref().and_then(|allocator| allocator.found.lock().remove(node.name()));
        let (mut found, extended) = match found {
            Some(found) => (found.allocations.into_iter(), found.extended),
            None => (Vec::new().into_iter(), None),
        };
        // What it uses already and is ready needs nothing more.
        let is_done =
            |claim: &ResourceClaim| is_reserved_for(claim, pod.id()) && readiness::is_ready(claim) == Ok(true);
        for claim in claims.all.iter().filter(|claim| !is_done(claim)) {
            // The same order as when they were looked for.
            let allocation = if allocation(claim).is_none() { found.next() } else { None };
            let uid = claim.metadata.uid.clone().unwrap_or_default();
            placement.claims.push(ClaimAllocation { claim: ObjectKey::of(&**claim), uid, allocation, make: None });
        }
        if let Some(extended) = extended {
            let claim = extended::unmade_key(pod);
            let make = Some(Box::new(extended));
            placement.claims.push(ClaimAllocation { claim, uid: String::new(), allocation: found.next(), make });
        }
    }
}

impl PostFilter for DynamicResources {
    fn post_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot, _: &Failure<'_>) -> PostFilterOutcome {
        let Some(claims) = state.read::<Claims>() else {
            // Another plugin rejected the pod before. Kubernetes' then does not find what it keeps of the pod, and says so.
            return PostFilterOutcome::Failed("not found".to_owned());
        };
        if claims.is_empty() {
            return PostFilterOutcome::Unhelpful("no new claims to deallocate".to_owned());
        }
        let is_free = |claim: &ResourceClaim| reserved_for(claim).iter().all(|user| *user.uid == **pod.id());
        let unavailable = claims.unavailable.lock();
        let mut candidates = unavailable.iter().filter_map(|index| claims.all.get(*index));
        let found = candidates.find(|claim| is_free(claim)).map(|claim| (claim, "deallocation"));
        match found.or_else(|| claims.stale().map(|claim| (claim, "deletion"))) {
            Some((claim, what)) => {
                let done = format!("{what} of ResourceClaim completed");
                PostFilterOutcome::Deallocates(ObjectKey::of(&**claim), done)
            }
            None => PostFilterOutcome::Unhelpful("still not schedulable".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
