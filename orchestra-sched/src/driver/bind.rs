//! From an assumed pod to one that is bound, or that gives its node up.

use std::{
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use orchestra_core::{
    ObjectKey,
    event_recorder::EventType,
    scheduler::{
        BindingCycle, Cause, ClusterEvent, Diagnosis, Permission, Placement, PodInfo, Rejection, Reservation,
        ScheduleError,
    },
};
use serde_json::json;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Shared, metrics::Outcome, pod_group::GroupCondition, report::Failure};
use crate::{
    framework::{contained, contained_future},
    plugins::default_binder::words,
};

/// A pod that counts as being on its node.
pub(super) struct Assumed {
    pub(super) pod: Arc<PodInfo>,
    pub(super) placement: Placement,
    pub(super) reservations: Vec<Reservation>,
    /// When the attempt began.
    pub(super) began: Instant,
    /// How many there were with this one.
    pub(super) attempts: u32,
    /// When the first of them began.
    pub(super) first_attempt: Instant,
    /// Whether its status may say where it is going to be.
    pub(super) announced: bool,
    /// Whether what comes before was begun, and is to be undone if it is not bound.
    pub(super) prepared: AtomicBool,
    /// The claim that was made for its extended resources.
    pub(super) made_claim: OnceLock<ObjectKey>,
    /// The group that is told when it is bound.
    pub(super) group: Option<ObjectKey>,
}

impl Assumed {
    /// The claims of devices that were decided about.
    pub(super) fn claims(&self) -> impl Iterator<Item = &ObjectKey> {
        self.placement.claims.iter().map(|decided| &decided.claim).chain(self.made_claim.get())
    }
}

/// Why a pod was not bound.
#[derive(Clone, Debug)]
pub(super) enum NotBound {
    /// It may not go to that node.
    Denied(Rejection),
    /// Something failed, in the words that users are told.
    Failed(String),
}

impl Shared {
    /// Has an assumed pod bound as soon as it may be. What takes time is done in the background.
    pub(super) async fn bind(self: &Arc<Self>, mut assumed: Assumed) {
        let (pod, placement) = (&assumed.pod, &assumed.placement);
        let cycle = self.cycle(pod);
        let permission = contained(|| cycle.permit(pod, &placement.node, &self.waiting));
        let is_quick = !cycle.has_pre_bind(pod, placement);
        let shared = Arc::clone(self);
        match permission.unwrap_or_else(Permission::Failed) {
            Permission::Granted if is_quick => {
                self.state.change(|state, _| state.queue.placed(pod.id()));
                self.in_background(async move {
                    let bound = shared.post(&assumed).await;
                    shared.settle(assumed, bound).await;
                })
                .await;
            }
            Permission::Granted => self.beside(async move {
                shared.announce(&mut assumed).await;
                shared.bind_slowly(assumed).await;
            }),
            Permission::Pending(plugins) => {
                let permission = self.waiting.wait(pod.clone(), placement.node.clone(), plugins);
                self.beside(async move {
                    shared.announce(&mut assumed).await;
                    match shared.permitted(&assumed.pod, permission).await {
                        Ok(()) => shared.bind_slowly(assumed).await,
                        Err(denied) => shared.settle(assumed, Err(denied)).await,
                    }
                });
            }
            Permission::Denied(rejection) => self.turn_away(assumed, NotBound::Denied(rejection)).await,
            Permission::Failed(error) => self.turn_away(assumed, NotBound::Failed(error)).await,
        }
    }

    /// Tells others, as an autoscaler, where the pod is going to be, before what takes time (KEP-5278). The API server clears that with
    /// the binding.
    pub(super) async fn announce(&self, assumed: &mut Assumed) {
        let (pod, node) = (&assumed.pod, &assumed.placement.node);
        assumed.announced = true;
        if pod.nominated_node() != Some(&**node)
            && let Err(error) = self.writing(self.patch_status(pod, json!({ "nominatedNodeName": node }))).await
        {
            debug!(pod = %pod.key(), error = words(&error), "nominatedNodeName not written");
        }
    }

    async fn turn_away(self: &Arc<Self>, assumed: Assumed, why: NotBound) {
        let shared = Arc::clone(self);
        self.in_background(async move { shared.unbind(assumed, why).await }).await;
    }

    /// Waits for the permission, unless the pod goes.
    pub(super) async fn permitted(
        &self,
        pod: &PodInfo,
        permission: impl Future<Output = Result<(), Rejection>>,
    ) -> Result<(), NotBound> {
        let since = Instant::now();
        let permitted = self.until_permitted(pod, permission).await;
        self.metrics.waited(since, permitted.is_ok());
        permitted
    }

    async fn until_permitted(
        &self,
        pod: &PodInfo,
        permission: impl Future<Output = Result<(), Rejection>>,
    ) -> Result<(), NotBound> {
        let (mut permission, mut wait) = (pin!(permission), self.state.wait());
        loop {
            wait.look(|_| vec![Cause::Pod(pod.key().clone())], |_| ());
            // After the look, so that its going is not missed.
            if !self.still_wants_node(pod) {
                return Err(NotBound::Failed("pod does not exist any more".to_owned()));
            }
            tokio::select! {
                biased;
                permitted = &mut permission => return permitted.map_err(NotBound::Denied),
                () = wait.changed() => {}
            }
        }
    }

    /// Binds a pod that may be bound, once what it needs is there.
    async fn bind_slowly(self: &Arc<Self>, assumed: Assumed) {
        self.state.change(|state, _| state.queue.placed(assumed.pod.id()));
        let prepared = self.prepare(&assumed).await;
        let bind = async {
            let bound = match prepared {
                Ok(()) => self.post(&assumed).await,
                Err(failed) => Err(failed),
            };
            self.settle(assumed, bound).await;
        };
        self.writing(bind).await;
    }

    pub(super) async fn prepare(&self, assumed: &Assumed) -> Result<(), NotBound> {
        let cycle = self.cycle(&assumed.pod);
        if !cycle.has_pre_bind(&assumed.pod, &assumed.placement) {
            return Ok(());
        }
        assumed.prepared.store(true, Ordering::Relaxed);
        let context = self.context(assumed);
        let done = contained_future(cycle.pre_bind(context.binding())).await.flatten();
        done.map_err(NotBound::Failed)
    }

    /// Tells the API server which node the pod runs on.
    pub(super) async fn post(&self, assumed: &Assumed) -> Result<(), NotBound> {
        let context = self.context(assumed);
        let bound = contained_future(self.cycle(&assumed.pod).bind(context.binding())).await.flatten();
        bound.map_err(NotBound::Failed)
    }

    /// Keeps the assumption that a pod is on its node, or takes it back.
    pub(super) async fn settle(self: &Arc<Self>, assumed: Assumed, bound: Result<(), NotBound>) {
        let (pod, node) = (&assumed.pod, &*assumed.placement.node);
        if let Err(why) = bound {
            return self.unbind(assumed, why).await;
        }
        let expires = self.assumed_pod_expiry.and_then(|expiry| Instant::now().checked_add(expiry));
        self.state.change(|state, _| {
            state.cache.finish_binding(pod.id(), expires);
            state.queue.done(pod.id());
        });
        self.metrics.bound(assumed.attempts, assumed.first_attempt);
        self.metrics.ended(pod.scheduler_name(), Outcome::Scheduled, assumed.began);
        let message = format!("Successfully assigned {} to {node}", pod.key());
        self.recorder.action(&**pod.pod(), EventType::Normal, "Scheduled", "Binding", message);
        self.tell_cycle(pod, |cycle| cycle.post_bind(pod, node));
        if let Some(group) = &assumed.group {
            self.write_group(group, GroupCondition::scheduled()).await;
        }
    }

    /// Takes back the assumption that a pod is on its node.
    async fn unbind(self: &Arc<Self>, assumed: Assumed, why: NotBound) {
        let (pod, node) = (&assumed.pod, &assumed.placement.node);
        self.tell_cycle(pod, |cycle| cycle.unreserve(pod, node, &self.waiting));
        if assumed.prepared.load(Ordering::Relaxed) {
            let context = self.context(&assumed);
            if let Err(panic) = contained_future(self.cycle(pod).undo(context.binding())).await {
                warn!(pod = %pod.key(), "the scheduler {panic}");
            }
        }
        let current = self.still_waiting(pod);
        let still_wanted = current.is_some();
        self.state.change(|state, now| {
            for change in state.cache.take_back(&assumed.reservations) {
                state.bells.ring(|| Cause::Object(change.kind(), change.key()));
                state.queue.notify_others(Some(pod.id()), ClusterEvent::ObjectChanged(change), now);
            }
            state.cache.release(assumed.claims());
            if let Some(forgotten) = state.cache.forget(pod.id()) {
                state.bells.ring(|| Cause::Pod(pod.key().clone()));
                state.queue.notify_others(Some(pod.id()), ClusterEvent::PodReleased(forgotten), now);
            }
            // What was told of it while it counted as being on its node.
            if let Some(current) = current {
                state.queue.set(current, now);
            }
            let rejected_by = match &why {
                NotBound::Denied(rejection) => Some(vec![rejection.plugin().to_owned()]),
                NotBound::Failed(_) => None,
            };
            match rejected_by {
                _ if !still_wanted => state.queue.done(pod.id()),
                Some(rejected_by) => state.queue.unschedulable(pod.id(), rejected_by, now),
                None => state.queue.failed(pod.id(), now),
            }
        });
        let outcome = match &why {
            NotBound::Denied(_) => Outcome::Unschedulable,
            NotBound::Failed(_) => Outcome::Error,
        };
        self.metrics.ended(pod.scheduler_name(), outcome, assumed.began);
        if still_wanted {
            // The promise ended when the pod was assumed to be on a node.
            let nominated = (assumed.announced || pod.nominated_node().is_some()).then(|| "".into());
            let failure = match why {
                NotBound::Denied(rejection) => {
                    let mut diagnosis = Diagnosis::new(1);
                    diagnosis.reject(node.clone(), rejection);
                    Failure::unschedulable(ScheduleError::from(diagnosis).to_string(), nominated)
                }
                NotBound::Failed(error) => Failure::of_scheduler(error, nominated),
            };
            self.write_report(pod, failure).await;
        }
    }

    /// What the pod's scheduler has done with it; who says nothing has it bound.
    pub(super) fn cycle(&self, pod: &PodInfo) -> &dyn BindingCycle {
        let own = self.schedulers.get(pod.scheduler_name()).and_then(|scheduler| scheduler.binding_cycle());
        own.unwrap_or(&self.only_binds)
    }

    fn tell_cycle(&self, pod: &PodInfo, tell: impl FnOnce(&dyn BindingCycle)) {
        if let Err(panic) = contained(|| tell(self.cycle(pod))) {
            warn!(pod = %pod.key(), "the scheduler {panic}");
        }
    }

    /// The pod as the informer knows it, if it is there and has no node.
    fn still_waiting(&self, pod: &PodInfo) -> Option<Arc<PodInfo>> {
        let current = self.pods.get(pod.key());
        current.filter(|current| current.id() == pod.id() && current.node_name().is_none() && !current.is_terminating())
    }

    /// Whether the pod is there and has no node, as far as the informer knows.
    pub(super) fn still_wants_node(&self, pod: &PodInfo) -> bool {
        self.still_waiting(pod).is_some()
    }
}
