//! Attempts at pods that have to have nodes at once, and their bindings.

use std::sync::Arc;

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all, try_join_all},
    stream,
};
use orchestra_core::{
    ObjectKey,
    random::Generator,
    scheduler::{Binding, Nomination, Permission, Placement, PodInfo, Rejection, ScheduleError, Snapshot},
};
use tokio::time::Instant;

use super::{
    Shared,
    attempt::Refusal,
    bind::{Assumed, NotBound},
    context::Context,
    pod_group::GroupCondition,
    state::State,
};
use crate::{
    framework::{contained, contained_future},
    gang::{GangDecision, GangOutcome, GangTrial},
    queue::Gang,
};

type Decided = (Arc<PodInfo>, Result<Placement, ScheduleError>);
/// A pod that waits for the permission to be bound.
type Wait = (Arc<PodInfo>, BoxFuture<'static, Result<(), Rejection>>);
/// The pod that keeps its gang from being bound, and why.
type Obstacle = (Arc<PodInfo>, NotBound);

impl Shared {
    pub(super) async fn attempt_gang(self: &Arc<Self>, gang: Gang, snapshot: Snapshot, seeds: &Generator) {
        let began = Instant::now();
        let mut trial = GangTrial::new(&gang, snapshot);
        while let Some((pod, snapshot)) = trial.next() {
            let result = self.decide(pod, snapshot, seeds).await;
            trial.answer(result);
        }
        // With it goes the snapshot: held any longer, it would make the next change of the cache copy what it shares.
        let GangDecision { pods, outcome } = trial.end();
        self.metrics.decided(began.elapsed());
        match outcome {
            GangOutcome::Placed => self.place_gang(gang, pods, began).await,
            GangOutcome::Preempting => {
                let message = "pod group is waiting for preemption to complete";
                self.tell_group(&gang.group, GroupCondition::unschedulable(message)).await;
                for (pod, result) in pods {
                    let refusal = match result {
                        Ok(placement) => unmet(message.to_owned(), &gang.unmet, promise(placement)),
                        Err(error) => error.into(),
                    };
                    self.give_up(pod, refusal, began).await;
                }
            }
            GangOutcome::Unschedulable => {
                self.tell_group(&gang.group, GroupCondition::unschedulable("")).await;
                self.give_up_gang(&gang, pods, began).await;
            }
            GangOutcome::Failed(why) => {
                let why = format!("failed to schedule other pod from a pod group: {why}");
                self.tell_group(&gang.group, GroupCondition::failed(why.clone())).await;
                let mut results = pods.into_iter().map(|(_, result)| result);
                for pod in gang.pods {
                    let own = results.next().and_then(Result::err).filter(is_failure);
                    let error = own.unwrap_or_else(|| ScheduleError::Internal(why.clone()));
                    self.give_up(pod, error.into(), began).await;
                }
            }
        }
    }

    /// None of the gang gets a node, and none is preempted for it.
    async fn give_up_gang(self: &Arc<Self>, gang: &Gang, pods: Vec<Decided>, began: Instant) {
        // As long as one of them waits for room that others leave, what the rest was promised is kept for it.
        let is_promised = self.state.read(|state| {
            pods.iter().any(|(pod, result)| is_kept(result) && state.cache.nomination(pod.id()).is_some())
        });
        let words = gang.unmet.reasons().join(", ");
        for (pod, result) in pods {
            let refusal = match result {
                Ok(placement) => {
                    let nomination = if is_promised { promise(placement) } else { Nomination::None };
                    unmet(words.clone(), &gang.unmet, nomination)
                }
                Err(error) => {
                    let refusal = Refusal::from(error);
                    match refusal.nomination {
                        Nomination::For { .. } => {
                            Refusal { message: words.clone(), nomination: Nomination::None, ..refusal }
                        }
                        _ => refusal,
                    }
                }
            };
            self.give_up(pod, refusal, began).await;
        }
    }

    /// Those that found a node get it; the others are on their own.
    async fn place_gang(self: &Arc<Self>, gang: Gang, pods: Vec<Decided>, began: Instant) {
        let (mut placed, mut others) = (Vec::new(), Vec::new());
        for (pod, result) in pods {
            match result {
                Ok(placement) => placed.push((pod, placement)),
                Err(error) => others.push((pod, error)),
            }
        }
        match self.state.change(|state, _| state.assume_all(&placed, gang.missing, began)) {
            Ok(assumed) => {
                self.bind_gang(gang.group, gang.unmet, assumed);
                for (pod, error) in others {
                    self.give_up(pod, error.into(), began).await;
                }
            }
            Err(error) => {
                self.tell_group(&gang.group, GroupCondition::of(&error)).await;
                for pod in gang.pods {
                    self.give_up(pod, error.clone().into(), began).await;
                }
            }
        }
    }

    /// Has an assumed gang bound as soon as all of it may be, in the background.
    fn bind_gang(self: &Arc<Self>, group: ObjectKey, unmet: Rejection, mut pods: Vec<Assumed>) {
        let permits = self.ask_permits(&pods);
        let has_slow = |of: &Assumed| self.cycle(&of.pod).has_pre_bind(&of.pod, &of.placement);
        let is_slow = permits.as_ref().is_ok_and(|waits| !waits.is_empty() || pods.iter().any(has_slow));
        let shared = Arc::clone(self);
        self.beside(async move {
            if is_slow {
                join_all(pods.iter_mut().map(|assumed| shared.announce(assumed))).await;
            }
            let ready = match permits {
                Ok(waits) => shared.await_permits(waits).await,
                Err(denied) => Err(denied),
            };
            let ready = match ready {
                Ok(()) => shared.prepare_all(&pods).await,
                Err(denied) => Err(denied),
            };
            let bind = async {
                let bound = match ready {
                    Ok(()) => shared.post_all(&pods).await,
                    Err(obstacle) => none_bound(&pods, &obstacle, &unmet),
                };
                if bound.iter().any(Result::is_ok) {
                    shared.write_group(&group, GroupCondition::scheduled()).await;
                }
                for (assumed, bound) in pods.into_iter().zip(bound) {
                    shared.settle(assumed, bound).await;
                }
            };
            shared.writing(bind).await;
        });
    }

    /// Asks for each pod whether it may be bound; those that have to wait for that.
    fn ask_permits(&self, pods: &[Assumed]) -> Result<Vec<Wait>, Obstacle> {
        let mut waits = Vec::new();
        for Assumed { pod, placement, .. } in pods {
            let cycle = self.cycle(pod);
            let permission = contained(|| cycle.permit(pod, &placement.node, &self.waiting));
            match permission.unwrap_or_else(Permission::Failed) {
                Permission::Granted => {}
                Permission::Pending(plugins) => {
                    let wait = self.waiting.wait(pod.clone(), placement.node.clone(), plugins).boxed();
                    waits.push((pod.clone(), wait));
                }
                Permission::Denied(rejection) => return Err((pod.clone(), NotBound::Denied(rejection))),
                Permission::Failed(error) => return Err((pod.clone(), NotBound::Failed(error))),
            }
        }
        Ok(waits)
    }

    async fn await_permits(&self, waits: Vec<Wait>) -> Result<(), Obstacle> {
        let wait = |(pod, wait): Wait| async move { self.permitted(&pod, wait).await.map_err(|why| (pod, why)) };
        try_join_all(waits.into_iter().map(wait)).await.map(drop)
    }

    /// Does for each pod what has to be done before; who fails first keeps the others from being bound.
    async fn prepare_all(&self, pods: &[Assumed]) -> Result<(), Obstacle> {
        self.state.change(|state, _| pods.iter().for_each(|assumed| state.queue.placed(assumed.pod.id())));
        let prepare = |assumed| async move { self.prepare(assumed).await.map_err(|why| (assumed.pod.clone(), why)) };
        // All of them to their end: what was begun is not to be dropped.
        join_all(pods.iter().map(prepare)).await.into_iter().collect()
    }

    /// Binds all at once, where that can be done.
    async fn post_all(&self, pods: &[Assumed]) -> Vec<Result<(), NotBound>> {
        /// How many at a time where each is bound on its own.
        const CONCURRENT: usize = 16;
        let Some(first) = pods.first() else { return Vec::new() };
        let contexts: Vec<_> = pods.iter().map(|assumed| self.context(assumed)).collect();
        let bindings: Vec<Binding<'_>> = contexts.iter().map(Context::binding).collect();
        let bound = contained_future(self.cycle(&first.pod).bind_all(&bindings)).await;
        match bound.unwrap_or_else(|panic| Some(vec![Err(panic); pods.len()])) {
            Some(bound) => bound.into_iter().map(|bound| bound.map_err(NotBound::Failed)).collect(),
            None => {
                let each: Vec<_> = pods.iter().map(|assumed| self.post(assumed)).collect();
                stream::iter(each).buffered(CONCURRENT).collect().await
            }
        }
    }
}

impl State {
    /// Counts all of them as being on their nodes, if none of those went meanwhile, and so many pods are still there.
    fn assume_all(
        &mut self,
        placed: &[(Arc<PodInfo>, Placement)],
        missing: usize,
        began: Instant,
    ) -> Result<Vec<Assumed>, ScheduleError> {
        let attempts = |pod: &PodInfo| self.queue.attempts(pod.id());
        let there: Vec<_> = placed.iter().filter_map(|(pod, to)| Some((pod, to, attempts(pod)?))).collect();
        if there.len() < missing {
            return Err(ScheduleError::Internal("pods of the group went while nodes were chosen".to_owned()));
        }
        let mut assumed: Vec<Assumed> = Vec::with_capacity(there.len());
        for (pod, placement, attempts) in there {
            match self.assume(pod.clone(), placement.clone(), attempts, began) {
                Ok(one) => assumed.push(one),
                Err(error) => {
                    // Nobody has seen them there.
                    for one in assumed {
                        self.cache.take_back(&one.reservations);
                        self.cache.release(one.claims());
                        self.cache.forget(one.pod.id());
                    }
                    return Err(error);
                }
            }
        }
        Ok(assumed)
    }
}

/// What a pod is told that found a node in vain.
fn unmet(message: String, unmet: &Rejection, nomination: Nomination) -> Refusal {
    let rejected_by = Some(vec![unmet.plugin().to_owned()]);
    Refusal { message, rejected_by, nomination, fits_nowhere: false, deallocation: None }
}

/// The node that was found is kept for the pod.
fn promise(placement: Placement) -> Nomination {
    Nomination::For { node: placement.node, victims: Vec::new() }
}

fn is_kept(result: &Result<Placement, ScheduleError>) -> bool {
    matches!(result, Err(ScheduleError::Unschedulable(diagnosis)) if *diagnosis.nomination() == Nomination::Kept)
}

fn is_failure(error: &ScheduleError) -> bool {
    !matches!(error, ScheduleError::Unschedulable(_))
}

/// One pod keeps all of them from being bound.
fn none_bound(pods: &[Assumed], (culprit, why): &Obstacle, unmet: &Rejection) -> Vec<Result<(), NotBound>> {
    let for_others = match why {
        NotBound::Denied(_) => NotBound::Denied(unmet.clone()),
        NotBound::Failed(error) => NotBound::Failed(format!("failed to bind other pod from a pod group: {error}")),
    };
    let of = |pod: &PodInfo| if pod.id() == culprit.id() { why.clone() } else { for_others.clone() };
    pods.iter().map(|assumed| Err(of(&assumed.pod))).collect()
}
