//! One reconcile of one deployment.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
};
use orchestra_core::{
    controller::{Action, ReconcileError},
    event_recorder::EventType,
};

use super::{
    DeploymentController, annotations,
    bounds::Bounds,
    conditions::{self, PROGRESSING},
    proportional,
    rolling::{self, Resize},
    sets::{self, Sets},
    status,
};
use crate::controllers::{api_error, ownership, pod_state};
use crate::lean_pod::LeanPod;

/// A deployment and its replica sets as they are known, kept up to date with what this reconcile writes.
pub(super) struct Sync<'a> {
    pub(super) controller: &'a DeploymentController,
    pub(super) deployment: Deployment,
    pub(super) sets: Sets,
}

impl Sync<'_> {
    pub(super) async fn run(mut self) -> Result<Action, ReconcileError> {
        if self.deployment.metadata.deletion_timestamp.is_some() {
            return self.sync_status().await;
        }
        self.tell_pause().await?;
        if self.is_paused() || self.was_scaled() {
            return self.sync_scale().await;
        }
        let bounds = Bounds::of(&self.deployment);
        if bounds.rolling { self.roll(&bounds).await } else { self.recreate(&bounds).await }
    }

    fn is_paused(&self) -> bool {
        self.deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true)
    }

    /// Whether an active set was sized for another scale: it must be told first, so that a rollout's steps start from right sizes.
    fn was_scaled(&self) -> bool {
        let wanted = Bounds::of(&self.deployment).replicas;
        let active = self.sets.active();
        active.into_iter().filter_map(|set| annotations::desired_replicas(set)).any(|desired| desired != wanted)
    }

    /// Notes pausing and resuming, also so that time spent paused does not count against the progress deadline.
    async fn tell_pause(&mut self) -> Result<(), ReconcileError> {
        let status = self.status();
        if status::deadline(&self.deployment).is_none()
            || conditions::has_reason(&status, PROGRESSING, conditions::TIMED_OUT)
        {
            return Ok(());
        }
        match (self.is_paused(), conditions::has_reason(&status, PROGRESSING, conditions::PAUSED)) {
            (true, false) => self.set_progressing("Unknown", conditions::PAUSED, "Deployment is paused"),
            (false, true) => self.set_progressing("Unknown", conditions::RESUMED, "Deployment is resumed"),
            _ => return Ok(()),
        }
        Ok(self.write_deployment().await?)
    }

    async fn roll(mut self, bounds: &Bounds) -> Result<Action, ReconcileError> {
        self.sync_new_set(true).await?;
        let Some(new) = self.sets.new.clone() else { return Ok(Action::Done) };
        if !self.sets.are_observed() {
            return self.sync_rollout_status().await;
        }
        let total = self.sets.all().iter().map(|set| sets::present(set)).sum();
        let size = rolling::new_size(bounds, sets::replicas(&new), total);
        if self.scale(Resize::to(&new, size)).await? {
            return self.sync_rollout_status().await;
        }
        let shrunk = rolling::shrink_old(bounds, &self.sets);
        if !shrunk.is_empty() {
            for resize in shrunk {
                self.scale(resize).await?;
            }
            return self.sync_rollout_status().await;
        }
        self.finish().await
    }

    async fn recreate(mut self, bounds: &Bounds) -> Result<Action, ReconcileError> {
        self.sync_new_set(false).await?;
        let mut scaled = false;
        for set in self.sets.old.clone() {
            scaled |= self.scale(Resize::to(&set, 0)).await?;
        }
        if scaled || self.has_pods_beside(self.sets.new.as_deref()) {
            return self.sync_rollout_status().await;
        }
        if self.sets.new.is_none() {
            self.sync_new_set(true).await?;
        }
        if let Some(new) = self.sets.new.clone() {
            self.scale(Resize::to(&new, bounds.replicas)).await?;
        }
        self.finish().await
    }

    /// Whether a pod of another template than that of `set` may still run, or come to.
    fn has_pods_beside(&self, set: Option<&ReplicaSet>) -> bool {
        let uid = |set: &ReplicaSet| set.metadata.uid.clone().unwrap_or_default();
        let runs = |pod: Arc<LeanPod>| !pod_state::is_finished(&pod);
        let has_pods = |other: &ReplicaSet| {
            sets::actual(other) > 0
                || ownership::controlled_by(&self.controller.pods, &uid(other)).into_iter().any(runs)
        };
        let own = set.map(uid);
        let others = self.sets.all().into_iter().filter(|other| Some(uid(other)) != own);
        !self.sets.are_observed() || others.into_iter().any(|other| has_pods(other))
    }

    async fn finish(mut self) -> Result<Action, ReconcileError> {
        if status::is_complete(&self.deployment, &self.status()) {
            self.drop_history().await?;
        }
        self.sync_rollout_status().await
    }

    /// Applies a change of scale, and nothing else.
    async fn sync_scale(mut self) -> Result<Action, ReconcileError> {
        self.sync_new_set(false).await?;
        let bounds = Bounds::of(&self.deployment);
        if !self.may_scale(&bounds) {
            return self.sync_status().await;
        }
        if let Some(only) = self.sets.only_active_or_latest().cloned() {
            if !bounds.rolling && self.has_pods_beside(Some(&only)) {
                return self.sync_status().await;
            }
            // The annotations count too: they are what says that the change of scale is done.
            self.resize(Resize::to(&only, bounds.replicas), &bounds).await?;
        } else if self.is_saturated(&bounds) {
            for set in self.sets.old.clone() {
                self.scale(Resize::to(&set, 0)).await?;
            }
        } else if bounds.rolling {
            let present = self.status().replicas.unwrap_or(0);
            for resize in proportional::resize(&bounds, &self.sets, present) {
                self.resize(resize, &bounds).await?;
            }
        }
        if self.is_paused() {
            self.drop_history().await?;
        }
        self.sync_status().await
    }

    /// Whether the sets have followed what they were told before as far as it takes: to grow, there must be room where pods are still to
    /// go.
    fn may_scale(&self, bounds: &Bounds) -> bool {
        let wanted: i32 = self.sets.all().into_iter().map(|set| sets::replicas(set)).sum();
        if wanted < bounds.most() { self.sets.have_followed() } else { self.sets.are_observed() }
    }

    /// Whether the new set has all its pods, sized for the present scale and available.
    fn is_saturated(&self, bounds: &Bounds) -> bool {
        self.sets.new.as_ref().is_some_and(|new| {
            annotations::desired_replicas(new) == Some(bounds.replicas)
                && sets::replicas(new) == bounds.replicas
                && sets::available(new) == bounds.replicas
        })
    }

    /// Gives a set its new size; says whether it changed.
    async fn scale(&mut self, resize: Resize) -> Result<bool, ReconcileError> {
        if sets::replicas(&resize.set) == resize.replicas {
            return Ok(false);
        }
        let bounds = Bounds::of(&self.deployment);
        self.resize(resize, &bounds).await?;
        Ok(true)
    }

    /// Gives a set its new size and notes the scale that it is for.
    async fn resize(&mut self, resize: Resize, bounds: &Bounds) -> Result<(), ReconcileError> {
        let (from, to) = (sets::replicas(&resize.set), resize.replicas);
        let mut set = (*resize.set).clone();
        if !annotations::set_scale(&mut set, bounds) && from == to {
            return Ok(());
        }
        set.spec.get_or_insert_default().replicas = Some(to);
        let written = self.replace_set(&set).await?;
        self.sets.replace(written);
        if from != to {
            let direction = if from < to { "up" } else { "down" };
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
            self.event(EventType::Normal, "ScalingReplicaSet", message);
        }
        Ok(())
    }

    /// Deletes the oldest revisions beyond the limit that have no pods any more.
    async fn drop_history(&mut self) -> Result<(), ReconcileError> {
        let Some(limit) = self.deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit) else {
            return Ok(());
        };
        let alive = |set: &&Arc<ReplicaSet>| set.metadata.deletion_timestamp.is_none();
        let mut old: Vec<_> = self.sets.old.iter().filter(alive).cloned().collect();
        old.sort_by_key(|set| annotations::revision(set));
        let excess = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for set in old.iter().take(excess).filter(|set| is_empty(set)) {
            let same = Preconditions { uid: set.metadata.uid.clone(), resource_version: None };
            let deletion = DeleteParams::default().preconditions(same);
            match self.sets_api().delete(set.metadata.name.as_deref().unwrap_or_default(), &deletion).await {
                Err(error) if api_error::is_not_found(&error) => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    async fn sync_status(mut self) -> Result<Action, ReconcileError> {
        if self.deployment.metadata.deletion_timestamp.is_some() {
            self.sync_new_set(false).await?;
        }
        let status = status::compute(&self.deployment, &self.sets, self.now());
        self.write_status(status).await?;
        Ok(Action::Done)
    }

    async fn sync_rollout_status(mut self) -> Result<Action, ReconcileError> {
        let status = status::compute_rollout(&self.deployment, &self.sets, self.now());
        let check = status::check_after(&self.deployment, &status, self.now());
        self.write_status(status).await?;
        Ok(check.map_or(Action::Done, Action::RequeueAfter))
    }

    async fn write_status(&mut self, status: DeploymentStatus) -> Result<(), kube::Error> {
        if self.deployment.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.deployment.status = Some(status);
        self.write_deployment().await
    }

    /// Writes status and annotations, which go together through the status subresource as they are both the controller's.
    pub(super) async fn write_deployment(&mut self) -> Result<(), kube::Error> {
        let meta = &self.deployment.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let api = Api::<Deployment>::namespaced(self.controller.client.clone(), namespace);
        let name = meta.name.clone().unwrap_or_default();
        match api.replace_status(&name, &PostParams::default(), &self.deployment).await {
            Ok(written) => {
                self.deployment = written;
                Ok(())
            }
            Err(error) if api_error::is_not_found(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn replace_set(&self, set: &ReplicaSet) -> Result<ReplicaSet, kube::Error> {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let written = self.sets_api().replace(name, &PostParams::default(), set).await;
        self.note_write(written)
    }

    /// Remembers what is known after a write to a replica set.
    pub(super) fn note_write(&self, written: Result<ReplicaSet, kube::Error>) -> Result<ReplicaSet, kube::Error> {
        let uid = self.deployment.metadata.uid.as_deref().unwrap_or_default();
        match &written {
            Ok(set) => self.controller.freshness.saw(uid, set),
            // Also a conflict says that the cache is old.
            Err(_) => self.controller.freshness.doubt(uid),
        }
        written
    }

    pub(super) fn sets_api(&self) -> Api<ReplicaSet> {
        let namespace = self.deployment.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.controller.client.clone(), namespace)
    }

    pub(super) fn status(&self) -> DeploymentStatus {
        self.deployment.status.clone().unwrap_or_default()
    }

    pub(super) fn set_progressing(&mut self, status: &str, reason: &str, message: impl Into<String>) {
        let condition = conditions::new(PROGRESSING, status, reason, message, self.now());
        conditions::set(self.deployment.status.get_or_insert_default(), condition);
    }

    pub(super) fn event(&self, kind: EventType, reason: &str, message: String) {
        self.controller.recorder.event(&self.deployment, kind, reason, message);
    }

    fn now(&self) -> jiff::Timestamp {
        self.controller.clock.now()
    }
}

/// Whether a set has no pods, as far as its controller has looked.
fn is_empty(set: &ReplicaSet) -> bool {
    sets::replicas(set) == 0 && sets::actual(set) == 0 && sets::is_observed(set)
}
