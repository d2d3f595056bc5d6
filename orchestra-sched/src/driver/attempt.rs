use std::sync::Arc;

use orchestra_core::{
    random::Generator,
    scheduler::{Decision, Nomination, Placement, PodInfo, ScheduleError, Scheduler, Snapshot},
};
use tokio::time::Instant;

use super::{Shared, bind::Assumed, metrics::Outcome, preempt::Preemption, report::Failure};
use crate::framework::{contained, contained_future};

impl Shared {
    /// Schedules one pod after the other, for ever.
    pub(super) async fn schedule_all(self: &Arc<Self>, seeds: Generator) {
        loop {
            let (pod, snapshot) = self.state.next().await;
            let (seed, began) = (seeds.below(u64::MAX), Instant::now());
            let decision = match self.schedulers.get(pod.scheduler_name()) {
                Some(scheduler) => decide(&**scheduler, &pod, &snapshot, seed).await,
                None => Err(ScheduleError::Internal(format!("no scheduler is called {:?}", pod.scheduler_name()))),
            };
            // Held any longer, it would make the next change of the cache copy what it shares.
            drop(snapshot);
            self.metrics.decided(began.elapsed());
            match decision {
                Ok(placement) => self.place(pod, placement, began).await,
                Err(error) => self.give_up(pod, &error, began).await,
            }
            // A long queue must not keep informers and bindings from their turn.
            tokio::task::yield_now().await;
        }
    }

    async fn place(self: &Arc<Self>, pod: Arc<PodInfo>, placement: Placement, began: Instant) {
        // The pod may have been deleted while a node was looked for, and so may the node.
        let assumed = self.state.change(|state, _| {
            state.queue.attempts(pod.id()).map(|attempts| {
                let assumed = state.cache.assume(pod.clone(), &placement.node);
                assumed.then(|| (attempts, state.cache.reserve(&placement.volumes, &placement.node)))
            })
        });
        match assumed {
            None => {}
            Some(Some((attempts, reservations))) => {
                self.bind(Assumed { pod, placement, reservations, began, attempts, announced: false }).await;
            }
            Some(None) => {
                let error = format!("node {:?} was chosen, which is not there", placement.node);
                self.give_up(pod, &ScheduleError::Internal(error), began).await;
            }
        }
    }

    async fn give_up(self: &Arc<Self>, pod: Arc<PodInfo>, error: &ScheduleError, began: Instant) {
        let Some((failure, preemption)) = self.state.change(|state, now| {
            // The pod may have been deleted while a node was looked for.
            state.queue.is_in_flight(pod.id()).then(|| match error {
                ScheduleError::Unschedulable(diagnosis) => {
                    let rejected_by = diagnosis.plugins().into_iter().map(str::to_owned).collect();
                    let (nominated, preemption) = state.nominate(&pod, diagnosis.nomination(), now);
                    state.queue.unschedulable(pod.id(), rejected_by, now);
                    (Failure::unschedulable(error.to_string(), nominated), preemption)
                }
                _ => {
                    let (nominated, preemption) = state.nominate(&pod, &Nomination::None, now);
                    state.queue.failed(pod.id(), now);
                    (Failure::of_scheduler(error.to_string(), nominated), preemption)
                }
            })
        }) else {
            return;
        };
        if matches!(error, ScheduleError::Unschedulable(_)) {
            self.metrics.preempted(preemption.as_ref().map(Preemption::victims));
        }
        if let Some(preemption) = preemption {
            let (shared, pod) = (Arc::clone(self), Arc::clone(&pod));
            self.beside(async move { shared.preempt(pod, preemption).await });
        }
        let outcome = match error {
            ScheduleError::Unschedulable(_) => Outcome::Unschedulable,
            _ => Outcome::Error,
        };
        self.metrics.ended(pod.scheduler_name(), outcome, began);
        self.report(pod, failure).await;
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
#[cfg(feature = "simulator")]
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
