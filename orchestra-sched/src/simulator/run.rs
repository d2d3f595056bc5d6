//! The loop: what happens next, in virtual time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::{
    random::Generator,
    scheduler::{ClusterEvent, Diagnosis, Nomination, Placement, PodInfo, Resources, ScheduleError, Scheduler},
};

use super::{Arrival, Outcome, Sample, Simulation, clock::VirtualTime, fragmentation::fragmentation, outcome::Counts};
use crate::{
    cache::ClusterCache,
    driver::schedule,
    gang::{GangDecision, GangOutcome, GangTrial},
    queue::{Gang, Next, SchedulingQueue},
};

/// A simulation under way.
pub(super) struct Run<'a> {
    simulation: &'a Simulation,
    scheduler: Arc<dyn Scheduler>,
    time: VirtualTime,
    queue: SchedulingQueue,
    cache: ClusterCache,
    /// What is known of pods that arrived, or were there, and did not end, by id.
    lives: HashMap<Arc<str>, Life>,
    /// How many pods of the trace have arrived.
    arrived: usize,
    /// When pods end. One that was evicted since is not meant: its life says another time.
    ends: BinaryHeap<Reverse<(Duration, Arc<str>)>>,
    seeds: Generator,
    /// The size of pods by which fragmentation is measured.
    reference: Resources,
    counts: Counts,
    samples: Vec<Sample>,
}

struct Life {
    arrived: Duration,
    duration: Option<Duration>,
    /// Whether it has had a node before.
    was_placed: bool,
    ends: Option<Duration>,
}

impl Life {
    /// Of a pod that has a node from the start, and runs to the end.
    fn of_placed() -> Self {
        Self { arrived: Duration::ZERO, duration: None, was_placed: true, ends: None }
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(simulation: &'a Simulation, scheduler: Arc<dyn Scheduler>) -> Self {
        let pending = simulation.cluster.pending();
        let placed = simulation.cluster.pods.values().filter(|pod| pod.node_name().is_some() && !pod.has_ended());
        let arrivals = simulation.trace.arrivals().iter().map(|arrival| &arrival.pod);
        let names = arrivals
            .chain(&pending)
            .chain(placed.clone())
            .map(|pod| (pod.scheduler_name().to_owned(), scheduler.clone()));
        let schedulers = Arc::new(names.collect::<BTreeMap<String, Arc<dyn Scheduler>>>());
        let largest = simulation.trace.arrivals().iter().max_by_key(|arrival| {
            let requests = arrival.pod.requests();
            (requests.milli_cpu, requests.memory)
        });
        let mut run = Self {
            simulation,
            scheduler,
            time: VirtualTime::start(),
            queue: SchedulingQueue::new(schedulers, simulation.delays),
            cache: simulation.cluster.cache.clone(),
            lives: placed.map(|pod| (pod.id().clone(), Life::of_placed())).collect(),
            arrived: 0,
            ends: BinaryHeap::new(),
            seeds: Generator::seeded(simulation.seed),
            reference: largest.map(|arrival| arrival.pod.requests().clone()).unwrap_or_default(),
            counts: Counts::default(),
            samples: Vec::new(),
        };
        for pod in simulation.cluster.pods.values().filter(|pod| pod.node_name().is_some() && !pod.has_ended()) {
            run.queue.assigned(pod, run.time.now());
        }
        for pod in pending {
            run.arrive(&Arrival { at: Duration::ZERO, duration: None, pod });
        }
        run
    }

    pub(super) fn until_the_end(mut self, name: String) -> Outcome {
        let end = self.simulation.end();
        while self.time.passed() <= end {
            self.let_arrive();
            self.let_end();
            let next = match self.queue.pop(self.time.now(), self.cache.objects()) {
                Some(next) => {
                    let decisions = u32::try_from(next.pods().len()).unwrap_or(u32::MAX);
                    self.attempt(next);
                    self.time.passed().saturating_add(self.simulation.attempt_time.saturating_mul(decisions))
                }
                None => self.next_event().unwrap_or(Duration::MAX),
            };
            self.sample_before(next.min(end.saturating_add(Duration::from_nanos(1))));
            self.time.advance_to(next);
        }
        let lengths = self.queue.lengths();
        self.counts.still_waiting = lengths.active + lengths.backing_off + lengths.unschedulable + lengths.gated;
        Outcome::new(name, self.counts, self.samples)
    }

    fn next_event(&self) -> Option<Duration> {
        let arrival = self.simulation.trace.arrivals().get(self.arrived).map(|arrival| arrival.at);
        let end = self.ends.peek().map(|Reverse((at, _))| *at);
        let retry = self.queue.next_deadline().map(|deadline| self.time.since_start(deadline));
        arrival.into_iter().chain(end).chain(retry).min()
    }

    fn let_arrive(&mut self) {
        let simulation = self.simulation;
        while let Some(arrival) = simulation.trace.arrivals().get(self.arrived).filter(|a| a.at <= self.time.passed()) {
            self.arrived += 1;
            self.arrive(arrival);
        }
    }

    fn arrive(&mut self, arrival: &Arrival) {
        let life = Life { arrived: arrival.at, duration: arrival.duration, was_placed: false, ends: None };
        self.counts.pods += 1;
        self.lives.insert(arrival.pod.id().clone(), life);
        self.queue.set(arrival.pod.clone(), self.time.now());
    }

    fn let_end(&mut self) {
        while let Some(Reverse((at, id))) =
            self.ends.peek().filter(|Reverse((at, _))| *at <= self.time.passed()).cloned()
        {
            self.ends.pop();
            if self.lives.get(&id).is_some_and(|life| life.ends == Some(at)) {
                self.lives.remove(&id);
                self.release(&id);
            }
        }
    }

    fn release(&mut self, id: &str) {
        self.queue.remove(id);
        if let Some(pod) = self.cache.remove_pod(id) {
            self.queue.notify(ClusterEvent::PodReleased(pod), self.time.now());
        }
    }

    fn attempt(&mut self, next: Next) {
        let snapshot = self.cache.snapshot();
        self.counts.attempts += next.pods().len();
        match next {
            Next::Pod { pod, .. } => {
                let decision = schedule(&*self.scheduler, &pod, &snapshot, self.seeds.below(u64::MAX));
                let is_there = |placement: &Placement| snapshot.get(&placement.node).is_some();
                let decision = match decision {
                    Ok(placement) if !is_there(&placement) => Err(None),
                    decision => decision.map_err(Some),
                };
                // Held any longer, it would make the next change of the cache copy what it shares.
                drop(snapshot);
                match decision {
                    Ok(placement) => self.place(&pod, &placement),
                    Err(Some(ScheduleError::Unschedulable(diagnosis))) => self.reject(&pod, &diagnosis),
                    Err(_) => self.fail(&pod),
                }
            }
            Next::Gang(gang) => {
                let mut trial = GangTrial::new(&gang, snapshot);
                while let Some((pod, snapshot)) = trial.next() {
                    let result = schedule(&*self.scheduler, pod, snapshot, self.seeds.below(u64::MAX));
                    trial.answer(result);
                }
                let decision = trial.end();
                self.settle_gang(&gang, decision);
            }
        }
    }

    fn settle_gang(&mut self, gang: &Gang, decision: GangDecision) {
        let GangDecision { pods, outcome } = decision;
        if let GangOutcome::Failed(_) = outcome {
            return gang.pods.iter().for_each(|pod| self.fail(pod));
        }
        let unmet = || vec![gang.unmet.plugin().to_owned()];
        for (pod, result) in pods {
            match (result, &outcome) {
                (Ok(placement), GangOutcome::Placed) => self.place(&pod, &placement),
                (Ok(placement), GangOutcome::Preempting) => {
                    self.cache.nominate(pod.clone(), placement.node);
                    self.queue.unschedulable(pod.id(), unmet(), self.time.now());
                }
                (Ok(_), _) => {
                    self.cache.withdraw(pod.id());
                    self.queue.unschedulable(pod.id(), unmet(), self.time.now());
                }
                (Err(ScheduleError::Unschedulable(mut diagnosis)), outcome) => {
                    // For a gang that would not fit even then nobody goes.
                    if *outcome == GangOutcome::Unschedulable {
                        diagnosis.set_nomination(Nomination::None);
                    }
                    self.reject(&pod, &diagnosis);
                }
                (Err(_), _) => self.fail(&pod),
            }
        }
    }

    /// The scheduler failed: that is not the cluster's fault.
    fn fail(&mut self, pod: &PodInfo) {
        self.counts.failures += 1;
        self.queue.failed(pod.id(), self.time.now());
    }

    fn place(&mut self, pod: &Arc<PodInfo>, placement: &Placement) {
        let bound_at = self.time.passed().saturating_add(self.simulation.attempt_time);
        let id = pod.id().clone();
        self.queue.done(&id);
        self.cache.withdraw(&id);
        if let Some(life) = self.lives.get_mut(&id) {
            if !life.was_placed {
                self.counts.waits.push(bound_at.saturating_sub(life.arrived));
            }
            life.was_placed = true;
            life.ends = life.duration.map(|duration| bound_at.saturating_add(duration));
            self.ends.extend(life.ends.map(|at| Reverse((at, id))));
        }
        let bound = Arc::new(pod.bound_to(&placement.node));
        self.cache.set_pod(bound.clone());
        self.cache.reserve(placement);
        self.queue.notify(ClusterEvent::PodAssigned(bound), self.time.now());
    }

    fn reject(&mut self, pod: &Arc<PodInfo>, diagnosis: &Diagnosis) {
        let rejected_by = diagnosis.plugins().into_iter().map(str::to_owned).collect();
        self.queue.unschedulable(pod.id(), rejected_by, self.time.now());
        match diagnosis.nomination() {
            Nomination::None => drop(self.cache.withdraw(pod.id())),
            Nomination::Kept => {}
            Nomination::For { node, victims } => {
                for loser in self.cache.withdraw_on(node, |other| other.priority() < pod.priority()) {
                    self.queue.reconsider(loser.id(), self.time.now());
                }
                self.cache.nominate(pod.clone(), node.clone());
                victims.iter().for_each(|victim| self.evict(victim));
            }
        }
    }

    /// Whoever made the pod makes it again: it waits as from its arrival, and runs for its whole time.
    fn evict(&mut self, victim: &PodInfo) {
        self.counts.preempted += 1;
        self.release(victim.id());
        if let Some(life) = self.lives.get_mut(victim.id()) {
            life.ends = None;
            let mut again = Pod::clone(victim.pod());
            again.spec.get_or_insert_default().node_name = None;
            again.status = None;
            self.queue.set(Arc::new(again.into()), self.time.now());
        }
    }

    /// Samples that are due before `next`, when something will be different.
    fn sample_before(&mut self, next: Duration) {
        let interval = self.simulation.interval();
        let mut due = interval.saturating_mul(u32::try_from(self.samples.len()).unwrap_or(u32::MAX));
        if due >= next {
            return;
        }
        let snapshot = self.cache.snapshot();
        let lengths = self.queue.lengths();
        let waiting = lengths.active + lengths.backing_off + lengths.unschedulable + lengths.gated;
        let sample = Sample::of(&snapshot, waiting, fragmentation(&snapshot, &self.reference));
        while due < next {
            self.samples.push(Sample { at: due, ..sample });
            due = due.saturating_add(interval);
        }
    }
}
