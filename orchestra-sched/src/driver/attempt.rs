use std::sync::{Arc, OnceLock, atomic::AtomicBool};

use orchestra_core::{
    ObjectKey,
    random::Generator,
    scheduler::{Decision, Nomination, Placement, PodInfo, ScheduleError, Scheduler, Snapshot},
};
use tokio::time::Instant;

use super::{
    Shared, bind::Assumed, metrics::Outcome, pod_group::GroupCondition, preempt::Preemption, report::Failure,
    state::State,
};
use crate::{
    framework::{contained, contained_future},
    queue::Next,
};

impl Shared {
    /// Schedules one pod after the other, for ever.
    pub(super) async fn schedule_all(self: &Arc<Self>, seeds: Generator) {
        loop {
            let (next, mut snapshot) = self.state.next().await;
            snapshot.set_time(self.clock.now());
            match next {
                Next::Pod { pod, group } => self.attempt(pod, group, snapshot, &seeds).await,
                Next::Gang(gang) => self.attempt_gang(gang, snapshot, &seeds).await,
            }
            // A long queue must not keep informers and bindings from their turn.
            tokio::task::yield_now().await;
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        pod: Arc<PodInfo>,
        group: Option<ObjectKey>,
        snapshot: Snapshot,
        seeds: &Generator,
    ) {
        let began = Instant::now();
        let decision = self.decide(&pod, &snapshot, seeds).await;
        // Held any longer, it would make the next change of the cache copy what it shares.
        drop(snapshot);
        self.metrics.decided(began.elapsed());
        let assumed = decision.map(|placement| {
            // The pod may have been deleted while a node was looked for, and so may the node.
            self.state.change(|state, _| {
                let attempts = state.queue.attempts(pod.id())?;
                Some(state.assume(pod.clone(), placement, attempts, began))
            })
        });
        match assumed {
            Ok(None) => {}
            Ok(Some(Ok(assumed))) => self.bind(Assumed { group, ..assumed }).await,
            Ok(Some(Err(error))) | Err(error) => {
                if let Some(group) = group {
                    self.tell_group(&group, GroupCondition::of(&error)).await;
                }
                self.give_up(pod, error.into(), began).await;
            }
        }
    }

    /// Asks the pod's scheduler.
    pub(super) async fn decide(
        &self,
        pod: &PodInfo,
        snapshot: &Snapshot,
        seeds: &Generator,
    ) -> Result<Placement, ScheduleError> {
        let seed = seeds.below(u64::MAX);
        match self.schedulers.get(pod.scheduler_name()) {
            Some(scheduler) => decide(&**scheduler, pod, snapshot, seed).await,
            None => Err(ScheduleError::Internal(format!("no scheduler is called {:?}", pod.scheduler_name()))),
        }
    }

    pub(super) async fn give_up(self: &Arc<Self>, pod: Arc<PodInfo>, refusal: Refusal, began: Instant) {
        let Some((nominated, preemption)) = self.state.change(|state, now| {
            // The pod may have been deleted while a node was looked for.
            state.queue.is_in_flight(pod.id()).then(|| {
                let told = state.nominate(&pod, &refusal.nomination, now);
                match &refusal.rejected_by {
                    Some(rejected_by) => state.queue.unschedulable(pod.id(), rejected_by.clone(), now),
                    None => state.queue.failed(pod.id(), now),
                }
                told
            })
        }) else {
            return;
        };
        let is_unschedulable = refusal.rejected_by.is_some();
        if refusal.fits_nowhere {
            self.metrics.preempted(preemption.as_ref().map(Preemption::victims));
        }
        if let Some(claim) = refusal.deallocation {
            let (shared, pod) = (Arc::clone(self), Arc::clone(&pod));
            self.beside(async move { shared.deallocate(&pod, &claim).await });
        }
        if let Some(preemption) = preemption {
            let (shared, pod) = (Arc::clone(self), Arc::clone(&pod));
            self.beside(async move { shared.preempt(pod, preemption).await });
        }
        let (outcome, failure) = match is_unschedulable {
            true => (Outcome::Unschedulable, Failure::unschedulable(refusal.message, nominated)),
            false => (Outcome::Error, Failure::of_scheduler(refusal.message, nominated)),
        };
        self.metrics.ended(pod.scheduler_name(), outcome, began);
        self.report(pod, failure).await;
    }
}

/// Why a pod gets no node now.
pub(super) struct Refusal {
    /// What the user is told.
    pub(super) message: String,
    /// Whose verdicts it was; `None` if the scheduler failed.
    pub(super) rejected_by: Option<Vec<String>>,
    /// Which node the pod waits for.
    pub(super) nomination: Nomination,
    /// Whether no node takes it, so that room was looked for.
    pub(super) fits_nowhere: bool,
    /// Which claim is to give its devices back.
    pub(super) deallocation: Option<ObjectKey>,
}

impl From<ScheduleError> for Refusal {
    fn from(error: ScheduleError) -> Self {
        let message = error.to_string();
        let ScheduleError::Unschedulable(diagnosis) = &error else {
            return Self {
                message,
                rejected_by: None,
                nomination: Nomination::None,
                fits_nowhere: false,
                deallocation: None,
            };
        };
        Self {
            message,
            rejected_by: Some(diagnosis.plugins().into_iter().map(str::to_owned).collect()),
            nomination: diagnosis.nomination().clone(),
            fits_nowhere: true,
            deallocation: diagnosis.deallocation().cloned(),
        }
    }
}

impl State {
    /// Counts `pod` as being on its node, with its volumes; an error if that is gone.
    pub(super) fn assume(
        &mut self,
        pod: Arc<PodInfo>,
        placement: Placement,
        attempts: u32,
        began: Instant,
    ) -> Result<Assumed, ScheduleError> {
        if !self.cache.assume(pod.clone(), &placement.node) {
            let why = format!("node {:?} was chosen, which is not there", placement.node);
            return Err(ScheduleError::Internal(why));
        }
        let reservations = self.cache.reserve(&placement);
        let first_attempt = self.queue.first_attempt(pod.id()).unwrap_or(began);
        Ok(Assumed {
            pod,
            placement,
            reservations,
            began,
            attempts,
            first_attempt,
            announced: false,
            prepared: AtomicBool::default(),
            made_claim: OnceLock::new(),
            group: None,
        })
    }
}

/// Asks the scheduler, which may ask others; its panic is an error like any other.
async fn decide(
    scheduler: &dyn Scheduler,
    pod: &PodInfo,
    snapshot: &Snapshot,
    seed: u64,
) -> Result<Placement, ScheduleError> {
    let outcome = match contained(|| scheduler.decide(pod, snapshot, seed)) {
        Ok(Decision::Made(outcome)) => Ok(outcome),
        Ok(Decision::Pending(outcome)) => contained_future(outcome).await,
        Err(panic) => Err(panic),
    };
    outcome.unwrap_or_else(of_panic)
}

/// Asks the scheduler alone.
#[cfg(feature = "testing")]
pub(crate) fn schedule(
    scheduler: &dyn Scheduler,
    pod: &PodInfo,
    snapshot: &Snapshot,
    seed: u64,
) -> Result<Placement, ScheduleError> {
    contained(|| scheduler.schedule(pod, snapshot, seed)).unwrap_or_else(of_panic)
}

fn of_panic(panic: String) -> Result<Placement, ScheduleError> {
    Err(ScheduleError::Internal(format!("the scheduler {panic}")))
}
