//! The pods that wait for a node.
//!
//! ```text
//!   add ─┬► active ──pop──► in flight ──done──► (bound, or gone)
//!        │     ▲               │   └─ unschedulable ──► unschedulable ─┐ an event that may help,
//!        │     └── back-off ◄──┴── failed                   back-off ◄─┘ the pod's own change, or 5 minutes
//!        └► gated: held back by PreEnqueue until the pod changes or an event may help
//! ```
//!
//! A pod is in exactly one of these places from the time it is added until it is done or removed. Pods of a group that have to have nodes at
//! once ([`Scheduler::quorum`]) are popped together, from wherever they wait.

mod backoff;
mod gang;
mod groups;
mod incoming;
mod journal;
mod ranked;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use orchestra_core::scheduler::{ClusterEvent, EventKind, PodInfo, QueueSort, QueuedPod, Scheduler};
use tokio::time::Instant;
use tracing::warn;

pub use self::gang::{Gang, Next};
use self::{
    groups::{GroupKey, Groups},
    incoming::{Incoming, Rejected, Why},
    journal::Journal,
    ranked::Ranked,
};
use crate::{framework::contained, plugins::PrioritySort};

/// How long pods rest. The defaults are kube-scheduler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDelays {
    /// After the first attempt that failed (`podInitialBackoffSeconds`); it doubles with each.
    pub initial_backoff: Duration,
    /// After any number of attempts (`podMaxBackoffSeconds`).
    pub max_backoff: Duration,
    /// After this time a pod is tried again though nothing has happened that is known to help.
    pub max_unschedulable: Duration,
}

impl QueueDelays {
    /// So that no sum of times is out of range: nobody waits for a century.
    fn bounded(self) -> Self {
        const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Self {
            initial_backoff: self.initial_backoff.min(LONGEST),
            max_backoff: self.max_backoff.min(LONGEST),
            max_unschedulable: self.max_unschedulable.min(LONGEST),
        }
    }
}

impl Default for QueueDelays {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            max_unschedulable: Duration::from_secs(300),
        }
    }
}

/// A pod's id, as [`PodInfo::id`].
type Id = Arc<str>;

/// How many pods are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLengths {
    /// Ready for an attempt.
    pub active: usize,
    /// Waiting for their back-off to end.
    pub backing_off: usize,
    /// Waiting for the cluster to change.
    pub unschedulable: usize,
    /// Held back before any attempt.
    pub gated: usize,
    /// Being scheduled or bound.
    pub in_flight: usize,
}

/// Active, back-off and unschedulable pods, and those in flight. Time is told by the caller.
pub struct SchedulingQueue {
    /// Who is asked whether an event may help, by scheduler name.
    schedulers: Arc<BTreeMap<String, Arc<dyn Scheduler>>>,
    sort: Arc<dyn QueueSort>,
    delays: QueueDelays,
    waiting: HashMap<Id, Waiting>,
    active: BTreeSet<Ranked>,
    backing_off: BTreeSet<(Instant, u64, Id)>,
    unschedulable: BTreeSet<(Instant, u64, Id)>,
    gated: usize,
    /// The unschedulable and gated ones by who is to be asked: scheduler name and rejecting plugin.
    rejected: BTreeMap<(String, String), Rejected>,
    in_flight: HashMap<Id, InFlight>,
    /// The pods that are not tried again until they are let go, and whether something happened since that may help.
    held: HashMap<Id, bool>,
    groups: Groups,
    journal: Journal,
    next_sequence: u64,
    incoming: Incoming,
}

struct Waiting {
    pod: Arc<PodInfo>,
    attempts: u32,
    sequence: u64,
    /// No attempt before this.
    not_before: Instant,
    /// When the first attempt began.
    first_attempt: Option<Instant>,
    place: Place,
}

enum Place {
    Active,
    BackingOff,
    Unschedulable { since: Instant, rejected_by: Vec<String> },
    Gated { by: Vec<String> },
}

impl Place {
    /// Whose rejection keeps the pod here.
    fn rejected_by(&self) -> Option<&[String]> {
        match self {
            Self::Unschedulable { rejected_by: by, .. } | Self::Gated { by } => Some(by),
            Self::Active | Self::BackingOff => None,
        }
    }
}

struct InFlight {
    pod: Arc<PodInfo>,
    attempts: u32,
    /// When the first of them began.
    first_attempt: Instant,
    /// The first event of the journal that the attempt may not have seen; `None` once it found a node.
    since: Option<u64>,
}

impl SchedulingQueue {
    /// An empty queue for the pods of `schedulers`, sorted as they want it, else by priority.
    pub fn new(schedulers: Arc<BTreeMap<String, Arc<dyn Scheduler>>>, delays: QueueDelays) -> Self {
        Self {
            sort: common_sort(&schedulers),
            schedulers,
            delays: delays.bounded(),
            waiting: HashMap::new(),
            active: BTreeSet::new(),
            backing_off: BTreeSet::new(),
            unschedulable: BTreeSet::new(),
            gated: 0,
            rejected: BTreeMap::new(),
            in_flight: HashMap::new(),
            held: HashMap::new(),
            groups: Groups::default(),
            journal: Journal::default(),
            next_sequence: 0,
            incoming: Incoming::new(),
        }
    }

    /// Whether the pod asks for one of the schedulers.
    pub fn serves(&self, pod: &PodInfo) -> bool {
        self.schedulers.contains_key(pod.scheduler_name())
    }

    /// Adds a pod that waits for a node, or tells what has become of one that is here.
    pub fn set(&mut self, pod: Arc<PodInfo>, now: Instant) {
        let id = pod.id().clone();
        self.groups.join(&id, self.group_of(&pod));
        if let Some(flying) = self.in_flight.get_mut(&id) {
            let old = std::mem::replace(&mut flying.pod, pod.clone());
            if changed(&old, &pod) {
                self.journal.record(None, ClusterEvent::PodUpdated { old, new: pod });
            }
            return;
        }
        let Some(mut entry) = self.take(&id) else {
            let place = Place::Active;
            let entry = Waiting { pod, attempts: 0, sequence: 0, not_before: now, first_attempt: None, place };
            return self.put(entry, Why::PodAdd);
        };
        let old = std::mem::replace(&mut entry.pod, pod.clone());
        if let Some(rejected_by) = entry.place.rejected_by()
            && changed(&old, &pod)
            && self.may_help(&pod, rejected_by, &ClusterEvent::PodUpdated { old, new: pod.clone() })
        {
            return self.retry(entry, now, Why::PodUpdate);
        }
        self.restore(entry);
    }

    /// Removes a pod: it is gone.
    pub fn remove(&mut self, id: &str) {
        self.drop_out(id);
        self.groups.leave(id);
    }

    /// A pod has a node: it does not wait, but counts in its group.
    pub fn assigned(&mut self, pod: &PodInfo, now: Instant) {
        self.drop_out(pod.id());
        let key = self.group_of(pod);
        if !self.groups.join(pod.id(), key.clone()) {
            return;
        }
        // It may be the one that others wait for.
        let waiting = key.and_then(|key| self.groups.get(&key)).map(|group| group.waiting.clone());
        for id in waiting.unwrap_or_default() {
            if matches!(self.waiting.get(&id).map(|entry| &entry.place), Some(Place::Gated { .. }))
                && let Some(entry) = self.take(&id)
            {
                self.retry(entry, now, Why::Event(EventKind::PodAssigned));
            }
        }
    }

    fn drop_out(&mut self, id: &str) {
        self.held.remove(id);
        if self.take(id).is_none() {
            self.done(id);
        }
    }

    /// Does not try a pod again, whatever happens, until it is [let go](Self::let_go) or removed: others are being taken away for it, and
    /// before they go it would find none again.
    pub fn hold(&mut self, id: &str) {
        self.held.insert(id.into(), false);
    }

    /// Ends a [`hold`](Self::hold). The pod is tried again if something happened meanwhile that may help, or if it is to be.
    pub fn let_go(&mut self, id: &str, again: bool, now: Instant) {
        if self.held.remove(id).is_some_and(|helped| helped || again) {
            self.reconsider(id, now);
        }
    }

    /// Something happened that no event tells of: an unschedulable pod is tried again.
    pub fn reconsider(&mut self, id: &str, now: Instant) {
        if matches!(self.waiting.get(id).map(|entry| &entry.place), Some(Place::Unschedulable { .. }))
            && let Some(entry) = self.take(id)
        {
            self.retry(entry, now, Why::ForceActivate);
        }
    }

    /// An attempt at a pod that was taken out of its place begins.
    fn begin(&mut self, entry: Waiting, now: Instant) -> Arc<PodInfo> {
        let flying = InFlight {
            pod: entry.pod.clone(),
            attempts: entry.attempts + 1,
            first_attempt: entry.first_attempt.unwrap_or(now),
            since: Some(self.journal.open()),
        };
        self.in_flight.insert(entry.pod.id().clone(), flying);
        entry.pod
    }

    /// A sort that breaks its contract leaves entries of pods that are elsewhere by now: these are passed over.
    fn next_active(&mut self) -> Option<Id> {
        loop {
            let ranked = self.active.pop_first()?;
            let entry = self.waiting.get(ranked.id());
            if entry.is_some_and(|entry| matches!(entry.place, Place::Active) && entry.sequence == ranked.sequence()) {
                return Some(ranked.id().clone());
            }
        }
    }

    /// Whether the pod is being scheduled or bound. One that was removed meanwhile is not.
    pub fn is_in_flight(&self, id: &str) -> bool {
        self.in_flight.contains_key(id)
    }

    /// How many attempts there were with the one under way; `None` if the pod is not [in flight](Self::is_in_flight).
    pub fn attempts(&self, id: &str) -> Option<u32> {
        self.in_flight.get(id).map(|flying| flying.attempts)
    }

    /// When the first attempt at the pod began; `None` if it is not [in flight](Self::is_in_flight).
    pub fn first_attempt(&self, id: &str) -> Option<Instant> {
        self.in_flight.get(id).map(|flying| flying.first_attempt)
    }

    /// A node was found for the pod in flight. It stays there until it is [`done`](Self::done) or has [`failed`](Self::failed),
    /// which may take minutes; that it is unschedulable is not said any more, so nothing that happens is kept for it.
    pub fn placed(&mut self, id: &str) {
        if let Some(since) = self.in_flight.get_mut(id).and_then(|flying| flying.since.take()) {
            self.journal.close(since);
        }
    }

    /// The pod in flight is bound, or needs no node any more.
    pub fn done(&mut self, id: &str) {
        self.placed(id);
        self.in_flight.remove(id);
    }

    /// The attempt found no node, because of these plugins' verdicts. If something happened since the attempt began that may
    /// help, the pod is tried again after its back-off, else it waits for that.
    pub fn unschedulable(&mut self, id: &str, rejected_by: Vec<String>, now: Instant) {
        let Some(flying) = self.in_flight.remove(id) else { return };
        // Of what happened after a node was found nothing is known.
        let helped = flying.since.is_none_or(|since| {
            let helped =
                self.journal.since(since, id).any(|event| self.may_help_in_flight(&flying.pod, &rejected_by, event));
            self.journal.close(since);
            helped
        });
        let entry = self.after_attempt(flying, Place::Unschedulable { since: now, rejected_by }, now);
        let why = Why::ScheduleAttemptFailure;
        if helped { self.retry(entry, now, why) } else { self.put(entry, why) }
    }

    /// The attempt failed for reasons that are not the cluster's: the pod is tried again after its back-off.
    pub fn failed(&mut self, id: &str, now: Instant) {
        self.placed(id);
        let Some(flying) = self.in_flight.remove(id) else { return };
        let entry = self.after_attempt(flying, Place::BackingOff, now);
        self.put(entry, Why::ScheduleAttemptFailure);
    }

    /// Something happened: pods that it may help are tried again.
    pub fn notify(&mut self, event: ClusterEvent, now: Instant) {
        self.notify_others(None, event, now);
    }

    /// The same of what a pod in flight brought about itself, by giving its node up: it is no news to that pod.
    pub fn notify_others(&mut self, cause: Option<&str>, event: ClusterEvent, now: Instant) {
        let mut helped = BTreeSet::new();
        for ((scheduler, plugin), ids) in &self.rejected {
            let Some(scheduler) = self.schedulers.get(scheduler) else { continue };
            if !concerns(&**scheduler, plugin, event.kind()) {
                continue;
            }
            let waiting = ids.iter().filter_map(|id| self.waiting.get(id));
            let may = waiting.filter(|entry| may_help(&**scheduler, plugin, &event, &entry.pod));
            helped.extend(may.map(|entry| (entry.sequence, entry.pod.id().clone())));
        }
        for (_, id) in helped {
            if let Some(entry) = self.take(&id) {
                self.retry(entry, now, Why::Event(event.kind()));
            }
        }
        self.journal.record(cause, event);
    }

    /// Moves the pods whose time has come. [`pop`](Self::pop) does it too.
    pub fn advance(&mut self, now: Instant) {
        // Collected first, so that each is looked at once, wherever it is put.
        let due: Vec<Id> =
            self.backing_off.iter().take_while(|(due, ..)| *due <= now).map(|(.., id)| id.clone()).collect();
        for entry in due.iter().filter_map(|id| self.take(id)).collect::<Vec<_>>() {
            self.put(Waiting { place: Place::Active, ..entry }, Why::BackoffComplete);
        }
        let longest = self.delays.max_unschedulable;
        let is_stale = |(since, ..): &&(Instant, u64, Id)| *since + longest <= now;
        let stale: Vec<Id> = self.unschedulable.iter().take_while(is_stale).map(|(.., id)| id.clone()).collect();
        for entry in stale.iter().filter_map(|id| self.take(id)).collect::<Vec<_>>() {
            self.retry(entry, now, Why::UnschedulableTimeout);
        }
    }

    /// When [`advance`](Self::advance) will next have something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        let backoff = self.backing_off.first().map(|(due, ..)| *due);
        let stale = self.unschedulable.first().map(|(since, ..)| *since + self.delays.max_unschedulable);
        backoff.into_iter().chain(stale).min()
    }

    /// How many pods are where.
    pub fn lengths(&self) -> QueueLengths {
        QueueLengths {
            active: self.active.len(),
            backing_off: self.backing_off.len(),
            unschedulable: self.unschedulable.len(),
            gated: self.gated,
            in_flight: self.in_flight.len(),
        }
    }

    fn after_attempt(&self, flying: InFlight, place: Place, now: Instant) -> Waiting {
        let not_before = now + backoff::delay(&self.delays, flying.attempts);
        let first_attempt = Some(flying.first_attempt);
        Waiting { pod: flying.pod, attempts: flying.attempts, sequence: 0, not_before, first_attempt, place }
    }

    /// Puts a pod where it is tried again: at once, or when its back-off ends.
    fn retry(&mut self, mut entry: Waiting, now: Instant, why: Why) {
        if let Place::Unschedulable { since, .. } = &mut entry.place
            && let Some(helped) = self.held.get_mut(entry.pod.id())
        {
            (*since, *helped) = (now, true);
            return self.put(entry, why);
        }
        let place = if entry.not_before > now { Place::BackingOff } else { Place::Active };
        self.put(Waiting { place, ..entry }, why);
    }

    /// Puts a pod in its place, behind those that are there. Nobody who is held back comes to where pods are tried from.
    fn put(&mut self, mut entry: Waiting, why: Why) {
        if entry.place.rejected_by().is_none()
            && let Some(scheduler) = self.schedulers.get(entry.pod.scheduler_name())
            && let Some(by) = held_back(&**scheduler, &entry.pod)
        {
            entry.place = Place::Gated { by };
        }
        self.incoming.count(&entry.place, why);
        entry.sequence = self.next_sequence;
        self.next_sequence += 1;
        self.restore(entry);
    }

    /// Puts a pod in its place, with the rank that it has.
    fn restore(&mut self, entry: Waiting) {
        let id = entry.pod.id().clone();
        match &entry.place {
            Place::Active => {
                self.active.insert(self.ranked(&entry));
            }
            Place::BackingOff => {
                self.backing_off.insert((entry.not_before, entry.sequence, id.clone()));
            }
            Place::Unschedulable { since, .. } => {
                self.unschedulable.insert((*since, entry.sequence, id.clone()));
            }
            Place::Gated { .. } => self.gated += 1,
        }
        for key in entry.place.rejected_by().into_iter().flat_map(|by| asked(&entry.pod, by)) {
            let rejected = self.rejected.entry(key);
            rejected.or_insert_with_key(Rejected::by).insert(id.clone());
        }
        self.groups.set_waiting(&id, true);
        self.waiting.insert(id, entry);
    }

    /// Takes a waiting pod out of its place.
    fn take(&mut self, id: &str) -> Option<Waiting> {
        let (id, entry) = self.waiting.remove_entry(id)?;
        self.groups.set_waiting(&id, false);
        for key in entry.place.rejected_by().into_iter().flat_map(|by| asked(&entry.pod, by)) {
            if let Some(ids) = self.rejected.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.rejected.remove(&key);
                }
            }
        }
        match &entry.place {
            Place::Active => {
                self.active.remove(&self.ranked(&entry));
            }
            Place::BackingOff => {
                self.backing_off.remove(&(entry.not_before, entry.sequence, id));
            }
            Place::Unschedulable { since, .. } => {
                self.unschedulable.remove(&(*since, entry.sequence, id));
            }
            Place::Gated { .. } => self.gated -= 1,
        }
        Some(entry)
    }

    /// Whose group the pod belongs to. Of most pods that have a node no more is kept than this needs: the scheduler's name is not asked for first.
    fn group_of(&self, pod: &PodInfo) -> Option<GroupKey> {
        self.schedulers.iter().find_map(|(name, scheduler)| {
            // A scheduler that panics has the pod on its own.
            let group = contained(|| scheduler.group(pod)).ok().flatten()?;
            (pod.scheduler_name() == name).then(|| (name.clone(), group))
        })
    }

    fn ranked(&self, entry: &Waiting) -> Ranked {
        let queued = QueuedPod { pod: entry.pod.clone(), attempts: entry.attempts, sequence: entry.sequence };
        Ranked::new(&self.sort, queued)
    }

    fn may_help(&self, pod: &PodInfo, rejected_by: &[String], event: &ClusterEvent) -> bool {
        asked(pod, rejected_by).any(|(scheduler, plugin)| {
            self.schedulers
                .get(&scheduler)
                .is_some_and(|s| concerns(&**s, &plugin, event.kind()) && may_help(&**s, &plugin, event, pod))
        })
    }

    /// As [`may_help`](Self::may_help); the change of a pod concerns only itself.
    fn may_help_in_flight(&self, pod: &PodInfo, rejected_by: &[String], event: &ClusterEvent) -> bool {
        let other = matches!(event, ClusterEvent::PodUpdated { new, .. } if new.id() != pod.id());
        !other && self.may_help(pod, rejected_by, event)
    }
}

/// A scheduler that panics does not know: when in doubt, yes.
fn concerns(scheduler: &dyn Scheduler, plugin: &str, kind: EventKind) -> bool {
    contained(|| scheduler.concerns(plugin, kind)).unwrap_or(true)
}

fn may_help(scheduler: &dyn Scheduler, plugin: &str, event: &ClusterEvent, pod: &PodInfo) -> bool {
    contained(|| scheduler.may_help(plugin, event, pod)).unwrap_or(true)
}

/// Who holds the pod back, if anybody does.
fn held_back(scheduler: &dyn Scheduler, pod: &PodInfo) -> Option<Vec<String>> {
    match contained(|| scheduler.pre_enqueue(pod)) {
        Ok(Ok(())) => None,
        Ok(Err(rejection)) => Some(vec![rejection.plugin().to_owned()]),
        Err(panic) => {
            warn!(pod = %pod.key(), "PreEnqueue {panic}");
            Some(Vec::new())
        }
    }
}

/// The order that the schedulers want; that of the first, if they do not agree.
fn common_sort(schedulers: &BTreeMap<String, Arc<dyn Scheduler>>) -> Arc<dyn QueueSort> {
    let mut sorts = schedulers.values().filter_map(|scheduler| scheduler.queue_sort());
    let Some(first) = sorts.next() else { return Arc::new(PrioritySort) };
    for other in sorts.filter(|other| other.name() != first.name()) {
        warn!(kept = first.name(), ignored = other.name(), "one queue has one order");
    }
    first
}

/// Who is asked about `pod`. If nobody said who rejected it, the scheduler is asked about nobody in particular.
fn asked<'a>(pod: &'a PodInfo, rejected_by: &'a [String]) -> impl Iterator<Item = (String, String)> + 'a {
    let nobody = rejected_by.is_empty().then(String::new);
    rejected_by.iter().cloned().chain(nobody).map(|plugin| (pod.scheduler_name().to_owned(), plugin))
}

/// Whether a pod changed in a way that schedulers look at. Of its status, which the scheduler itself writes, only the claims that were made
/// for it are.
fn changed(old: &PodInfo, new: &PodInfo) -> bool {
    let (old, new) = (old.pod(), new.pod());
    let claims = [old, new].map(|pod| pod.status.as_ref()?.resource_claim_statuses.as_ref());
    old.spec != new.spec
        || claims[0] != claims[1]
        || old.metadata.labels != new.metadata.labels
        || old.metadata.annotations != new.metadata.annotations
}

#[cfg(test)]
mod tests;
