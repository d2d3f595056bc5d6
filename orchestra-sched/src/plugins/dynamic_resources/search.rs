//! Looks for devices of a node that satisfy all claims of a pod (`k8s.io/dynamic-resource-allocation/structured`).
//!
//! Every combination is tried, one claim, request and device after the other, and the first that satisfies all is taken. The choices that were
//! made are kept in a list, not on the stack: a pod may have many claims.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::resource::v1::Device;
use orchestra_core::{quantity::Quantity, scheduler::NodeInfo};

use super::{
    capacity,
    constraint::Constraint,
    inventory::{Candidate, Inventory, Pool, id},
    request::{Alternative, Count, MAX_DEVICES, Request, Wanted},
    selectors::Selectors,
    taint,
    taken::{Amounts, Taken},
};

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It took too long.
    TimedOut,
    /// Something is wrong with devices of this node; others may be fine.
    OnNode(String),
    /// Something is wrong with a claim or a class.
    Failed(String),
}

/// An alternative of a request of a claim, by their indexes.
type Key = (usize, usize, usize);

/// A device that was chosen.
pub(super) struct Chosen {
    key: Key,
    pub(super) candidate: usize,
    /// What the request takes of a device that is shared.
    pub(super) share: Option<Amounts>,
}

/// What is to be chosen next.
#[derive(Clone, Copy, Default)]
struct Place {
    claim: usize,
    request: usize,
    /// `None` if one is still to be chosen.
    alternative: Option<usize>,
    /// How many devices the alternative has already.
    device: usize,
    /// The first candidate that may be the next: the order of devices makes no difference.
    from: usize,
}

/// A choice with the place at which it was made.
enum Choice {
    Alternative { place: Place, index: usize },
    Device { place: Place, candidate: usize },
}

/// What comes of a step forward.
enum Step {
    Done,
    Chose(Choice, Place),
    DeadEnd,
}

/// One search.
pub(super) struct Search<'a> {
    wanted: &'a [Arc<Wanted>],
    taken: &'a Taken,
    selectors: &'a Selectors,
    is_over: &'a dyn Fn() -> bool,
    pools: Vec<&'a Pool>,
    pub(super) candidates: Vec<Candidate<'a>>,
    constraints: Vec<Vec<Constraint<'a>>>,
    chosen: Vec<Chosen>,
    /// Where each candidate stands among them, as often as it was chosen.
    places: Vec<Vec<usize>>,
    /// How many each claim has of them.
    counts: Vec<usize>,
    /// Whether a candidate is what an alternative asks for, as far as that was looked at.
    matches: BTreeMap<(Key, usize), bool>,
    /// The devices of alternatives that want all.
    all: BTreeMap<Key, Vec<usize>>,
    /// What is left of the counters of a pool, without what was chosen.
    counters: BTreeMap<usize, BTreeMap<(String, String), Quantity>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        wanted: &'a [Arc<Wanted>],
        inventory: &'a Inventory,
        taken: &'a Taken,
        selectors: &'a Selectors,
        node: &NodeInfo,
        is_over: &'a dyn Fn() -> bool,
    ) -> Self {
        let (pools, candidates) = inventory.on(node);
        let places = vec![Vec::new(); candidates.len()];
        Self {
            wanted,
            taken,
            selectors,
            is_over,
            pools,
            candidates,
            constraints: Vec::new(),
            chosen: Vec::new(),
            places,
            counts: vec![0; wanted.len()],
            matches: BTreeMap::new(),
            all: BTreeMap::new(),
            counters: BTreeMap::new(),
        }
    }

    /// Whether there are devices for all claims.
    pub(super) fn run(&mut self) -> Result<bool, Stop> {
        for claim in 0..self.wanted.len() {
            self.prepare(claim)?;
        }
        let (mut choices, mut place) = (Vec::new(), Place::default());
        loop {
            if (self.is_over)() {
                return Err(Stop::TimedOut);
            }
            match self.forward(place)? {
                Step::Done => return Ok(true),
                Step::Chose(choice, next) => {
                    choices.push(choice);
                    place = next;
                }
                Step::DeadEnd => match self.back(&mut choices) {
                    Some(other) => place = other,
                    None if self.pools.iter().any(|pool| pool.is_invalid) => {
                        return Err(Stop::OnNode("invalid resource pools were encountered".to_owned()));
                    }
                    None => return Ok(false),
                },
            }
        }
    }

    /// The devices that were chosen for a claim, with the alternatives that they are for.
    pub(super) fn of(&self, claim: usize) -> impl Iterator<Item = (&'a Request, &'a Alternative, &Chosen)> {
        let chosen = self.chosen.iter().filter(move |chosen| chosen.key.0 == claim);
        chosen.filter_map(|chosen| {
            let (request, alternative) = self.alternative(chosen.key)?;
            Some((request, alternative, chosen))
        })
    }

    fn alternative(&self, (claim, request, alternative): Key) -> Option<(&'a Request, &'a Alternative)> {
        let request = self.wanted.get(claim)?.requests.get(request)?;
        Some((request, request.alternatives.get(alternative)?))
    }

    /// Reads the claim's constraints, finds the devices of alternatives that want all, and sees whether the claim asks for too many.
    fn prepare(&mut self, index: usize) -> Result<(), Stop> {
        let Some(wanted) = self.wanted.get(index) else { return Ok(()) };
        let key = &wanted.key;
        let mut constraints = Vec::new();
        let devices = wanted.claim.spec.devices.as_ref();
        for (i, constraint) in devices.iter().flat_map(|devices| devices.constraints.iter().flatten()).enumerate() {
            let why = || {
                Stop::Failed(format!("claim {key}, constraint #{i}: empty constraint (unsupported constraint type?)"))
            };
            constraints.push(Constraint::read(constraint).ok_or_else(why)?);
        }
        self.constraints.push(constraints);
        let mut least = 0_usize;
        for (r, request) in wanted.requests.iter().enumerate() {
            let mut least_of_request = usize::MAX;
            for (a, alternative) in request.alternatives.iter().enumerate() {
                let count = match alternative.count {
                    Count::Exactly(count) => count,
                    Count::All => self.prepare_all((index, r, a), wanted, request, alternative)?,
                };
                least_of_request = least_of_request.min(count);
            }
            least = least.saturating_add(least_of_request);
        }
        if least > MAX_DEVICES {
            let why = format!("number of requested devices {least} exceeds the claim limit of {MAX_DEVICES}");
            return Err(Stop::Failed(format!("claim {key}: {why}")));
        }
        Ok(())
    }

    /// The number of devices that all are.
    fn prepare_all(
        &mut self,
        key: Key,
        wanted: &Wanted,
        request: &Request,
        alternative: &Alternative,
    ) -> Result<usize, Stop> {
        let name = alternative.name.as_ref().unwrap_or(&request.name);
        for pool in &self.pools {
            let state = match (pool.is_incomplete, pool.is_invalid) {
                (true, _) => "being updated",
                (_, true) => "invalid",
                _ => continue,
            };
            let pool = format!("{}/{}", pool.driver, pool.name);
            let why = format!("asks for all devices, but resource pool {pool} is currently {state}");
            return Err(Stop::Failed(format!("claim {}, request {name}: {why}", wanted.key)));
        }
        let mut all = Vec::new();
        for candidate in 0..self.candidates.len() {
            if self.is_selectable(key, candidate)? && self.amounts(alternative, candidate).is_some() {
                all.push(candidate);
            }
        }
        let count = all.len();
        self.all.insert(key, all);
        Ok(count)
    }

    fn forward(&mut self, mut place: Place) -> Result<Step, Stop> {
        loop {
            let Some(wanted) = self.wanted.get(place.claim) else { return Ok(Step::Done) };
            let Some(request) = wanted.requests.get(place.request) else {
                place = Place { claim: place.claim + 1, ..Place::default() };
                continue;
            };
            let Some(index) = place.alternative else {
                let next = Place { alternative: Some(0), device: 0, from: 0, ..place };
                return Ok(Step::Chose(Choice::Alternative { place, index: 0 }, next));
            };
            let key = (place.claim, place.request, index);
            let Some(alternative) = request.alternatives.get(index) else { return Ok(Step::DeadEnd) };
            let all = self.all.get(&key);
            let count = match alternative.count {
                Count::Exactly(count) => count,
                // One at least has to be there.
                Count::All if all.is_none_or(Vec::is_empty) => return Ok(Step::DeadEnd),
                Count::All => all.map_or(0, Vec::len),
            };
            if place.device >= count {
                place = Place { claim: place.claim, request: place.request + 1, ..Place::default() };
                continue;
            }
            let chosen = self.counts.get(place.claim).copied().unwrap_or(0);
            if chosen.saturating_add(count - place.device) > MAX_DEVICES {
                return Ok(Step::DeadEnd);
            }
            let only = all.and_then(|all| all.get(place.device)).copied();
            return self.choose(place, key, only);
        }
    }

    /// Chooses a device: this one, or the next that can be had.
    fn choose(&mut self, place: Place, key: Key, only: Option<usize>) -> Result<Step, Stop> {
        let range = only.map_or(place.from..self.candidates.len(), |only| only..only + 1);
        for candidate in range {
            let can_be_had = only.is_some() || (self.is_settled(candidate) && self.is_selectable(key, candidate)?);
            if can_be_had && self.allocate(key, candidate, only.is_some())? {
                let next = Place { device: place.device + 1, from: candidate + 1, ..place };
                return Ok(Step::Chose(Choice::Device { place, candidate }, next));
            }
        }
        Ok(Step::DeadEnd)
    }

    /// Undoes choices up to the last one that can be made in another way.
    fn back(&mut self, choices: &mut Vec<Choice>) -> Option<Place> {
        loop {
            match choices.pop()? {
                Choice::Alternative { place, index } => {
                    let next = index + 1;
                    if self.alternative((place.claim, place.request, next)).is_some() {
                        choices.push(Choice::Alternative { place, index: next });
                        return Some(Place { alternative: Some(next), device: 0, from: 0, ..place });
                    }
                }
                Choice::Device { place, candidate } => {
                    self.undo();
                    let index = place.alternative.unwrap_or_default();
                    if !self.all.contains_key(&(place.claim, place.request, index)) {
                        return Some(Place { from: candidate + 1, ..place });
                    }
                }
            }
        }
    }

    /// Whether all is known of the candidate's pool. From others nothing is taken.
    fn is_settled(&self, candidate: usize) -> bool {
        let pool = self.candidates.get(candidate).and_then(|candidate| self.pools.get(candidate.pool));
        pool.is_some_and(|pool| !pool.is_incomplete && !pool.is_invalid)
    }

    /// Whether class and request select the candidate.
    fn is_selectable(&mut self, key: Key, candidate: usize) -> Result<bool, Stop> {
        if let Some(known) = self.matches.get(&(key, candidate)) {
            return Ok(*known);
        }
        let matches = self.select(key, candidate).map_err(Stop::Failed)?;
        self.matches.insert((key, candidate), matches);
        Ok(matches)
    }

    fn select(&self, key: Key, candidate: usize) -> Result<bool, String> {
        let (Some((_, alternative)), Some(wanted)) = (self.alternative(key), self.wanted.get(key.0)) else {
            return Ok(false);
        };
        let Some(Candidate { id, device, slice, .. }) = self.candidates.get(candidate) else { return Ok(false) };
        let driver = &slice.spec.driver;
        let class = &alternative.class;
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let of_class = class.spec.selectors.as_deref().unwrap_or_default();
        let device = (&**id, *device);
        Ok(self.selectors.match_all(of_class, &format!("class {name}"), driver, device)?
            && self.selectors.match_all(&alternative.selectors, &format!("claim {}", wanted.key), driver, device)?)
    }

    /// What it was chosen for.
    fn chosen_of(&self, candidate: usize) -> impl Iterator<Item = &Chosen> {
        let places = self.places.get(candidate).into_iter().flatten();
        places.filter_map(|place| self.chosen.get(*place))
    }

    /// What the alternative takes of the candidate's capacities, beside what others took; `None` if there is not enough.
    fn amounts(&self, alternative: &Alternative, candidate: usize) -> Option<Amounts> {
        let Candidate { id, device, .. } = self.candidates.get(candidate)?;
        let chosen = self.chosen_of(candidate);
        let taken: Vec<&Amounts> =
            self.taken.of(id).into_iter().chain(chosen.filter_map(|it| it.share.as_ref())).collect();
        capacity::consumed(device, &alternative.capacity, &taken)
    }

    /// Chooses the candidate if it can be had. If it `must` be, it is an error that it does not go with others.
    fn allocate(&mut self, key: Key, candidate: usize, must: bool) -> Result<bool, Stop> {
        let (Some((request, alternative)), Some(Candidate { id, device, slice, .. })) =
            (self.alternative(key), self.candidates.get(candidate).cloned())
        else {
            return Ok(false);
        };
        let is_shared = device.allow_multiple_allocations.unwrap_or_default();
        let held_by = |claim: Option<usize>| {
            let mut holders = self.chosen_of(candidate).filter(|chosen| chosen.share.is_none());
            holders.any(|chosen| claim.is_none_or(|claim| chosen.key.0 == claim))
        };
        // Administrators get what is in use, but in one claim a device only once.
        let is_taken = match alternative.admin_access {
            true => !is_shared && held_by(Some(key.0)),
            false => self.taken.has(&id) || held_by(None),
        };
        if is_taken || taint::is_kept_off(device, &alternative.tolerations) {
            return Ok(false);
        }
        let Some(amounts) = self.amounts(alternative, candidate) else { return Ok(false) };
        let in_use = is_shared && (self.taken.of(&id).is_some() || self.chosen_of(candidate).next().is_some());
        if !in_use && !self.has_counters(candidate) {
            return Ok(false);
        }
        let (names, driver) = ((request.name.as_str(), alternative.name.as_deref()), slice.spec.driver.as_str());
        let constraints = self.constraints.get_mut(key.0).map(Vec::as_mut_slice).unwrap_or_default();
        let refused = constraints.iter_mut().position(|constraint| !constraint.add(names, driver, device));
        if let Some(refused) = refused {
            constraints.iter_mut().take(refused).for_each(|constraint| constraint.remove(names));
            let (Some(wanted), true) = (self.wanted.get(key.0), must) else { return Ok(false) };
            let why = format!("cannot add device {id} because a claim constraint would not be satisfied");
            let request = alternative.name.as_ref().unwrap_or(&request.name);
            return Err(Stop::Failed(format!("claim {}, request {request}: {why}", wanted.key)));
        }
        if let (Some(places), Some(count)) = (self.places.get_mut(candidate), self.counts.get_mut(key.0)) {
            places.push(self.chosen.len());
            *count += 1;
        }
        self.chosen.push(Chosen { key, candidate, share: is_shared.then_some(amounts) });
        Ok(true)
    }

    fn undo(&mut self) {
        let Some(last) = self.chosen.pop() else { return };
        if let (Some(places), Some(count)) = (self.places.get_mut(last.candidate), self.counts.get_mut(last.key.0)) {
            places.pop();
            *count -= 1;
        }
        let Some((request, alternative)) = self.alternative(last.key) else { return };
        let names = (request.name.as_str(), alternative.name.as_deref());
        for constraint in self.constraints.get_mut(last.key.0).into_iter().flatten() {
            constraint.remove(names);
        }
    }

    /// Whether the counters that the candidate consumes have enough left (KEP-4815).
    fn has_counters(&mut self, candidate: usize) -> bool {
        let Some(Candidate { device, pool, .. }) = self.candidates.get(candidate) else { return false };
        let (device, pool) = (*device, *pool);
        if device.consumes_counters.as_ref().is_none_or(Vec::is_empty) {
            return true;
        }
        if !self.counters.contains_key(&pool) {
            let left = self.pools.get(pool).map(|pool| left(pool, self.taken)).unwrap_or_default();
            self.counters.insert(pool, left);
        }
        let Some(left) = self.counters.get(&pool) else { return false };
        let mut left = left.clone();
        // A device that several share consumes once.
        let mut chosen: Vec<usize> = self.chosen.iter().map(|chosen| chosen.candidate).collect();
        chosen.sort_unstable();
        chosen.dedup();
        let same_pool = |index: &usize| self.candidates.get(*index).filter(|other| other.pool == pool);
        for other in chosen.iter().filter_map(same_pool).filter(|other| self.taken.of(&other.id).is_none()) {
            consume(&mut left, other.device);
        }
        consume(&mut left, device);
        let mut counters = device.consumes_counters.iter().flatten().flat_map(|consumption| {
            consumption.counters.keys().map(|name| (consumption.counter_set.clone(), name.clone()))
        });
        counters.all(|counter| left.get(&counter).is_some_and(|left| !left.is_negative()))
    }
}

/// What devices that are taken leave of their pool's counters.
fn left(pool: &Pool, taken: &Taken) -> BTreeMap<(String, String), Quantity> {
    let mut left = pool.counters.clone();
    for device in pool.devices() {
        let id = id(&pool.driver, &pool.name, &device.name);
        if taken.has(&id) || taken.of(&id).is_some() {
            consume(&mut left, device);
        }
    }
    left
}

fn consume(left: &mut BTreeMap<(String, String), Quantity>, device: &Device) {
    for consumption in device.consumes_counters.iter().flatten() {
        for (name, counter) in &consumption.counters {
            if let Some(left) = left.get_mut(&(consumption.counter_set.clone(), name.clone())) {
                *left = *left - (&counter.value).try_into().unwrap_or_default();
            }
        }
    }
}
