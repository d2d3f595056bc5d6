//! Finds or creates the replica set of a deployment's present template.

use k8s_openapi::{
    api::apps::v1::{ReplicaSet, ReplicaSetSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::api::PostParams;
use orchestra_core::{
    controller::{ReconcileError, controller_of},
    event_recorder::EventType,
};

use super::{
    annotations,
    bounds::Bounds,
    conditions::{self, PROGRESSING},
    rolling,
    sets::{self, Sets},
    status,
    sync::Sync,
    template_hash,
};
use crate::controllers::{api_error, ownership};

/// The longest name that an object may have (RFC 1123 subdomain).
const MAX_NAME: usize = 253;

impl Sync<'_> {
    /// Brings the new set's annotations, and the deployment's revision, up to date. If there is no new set it is created when
    /// `create` says so.
    pub(super) async fn sync_new_set(&mut self, create: bool) -> Result<(), ReconcileError> {
        let revision = self.sets.old.iter().map(|set| annotations::revision(set)).max().unwrap_or(0) + 1;
        match self.sets.new.clone() {
            Some(set) => self.sync_existing(&set, revision).await,
            None if create => self.create_new_set(revision).await,
            None => Ok(()),
        }
    }

    async fn sync_existing(&mut self, set: &ReplicaSet, revision: i64) -> Result<(), ReconcileError> {
        let mut changed = set.clone();
        let min_ready_seconds = self.deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        let spec = changed.spec.get_or_insert_default();
        let differs = spec.min_ready_seconds.unwrap_or(0) != min_ready_seconds.unwrap_or(0);
        spec.min_ready_seconds = min_ready_seconds;
        if annotations::set_newest(&mut changed, &self.deployment, revision) || differs {
            let written = self.replace_set(&changed).await?;
            self.sets.replace(written);
        }
        let revision = self.sets.new.as_ref().map_or(revision, |set| annotations::revision(set));
        let mut needs_write = self.set_revision(revision);
        if status::deadline(&self.deployment).is_some() && conditions::find(&self.status(), PROGRESSING).is_none() {
            let message = format!("Found new replica set {:?}", set.metadata.name.as_deref().unwrap_or_default());
            self.set_progressing("True", "FoundNewReplicaSet", message);
            needs_write = true;
        }
        if needs_write {
            self.write_deployment().await?;
        }
        Ok(())
    }

    /// Notes the revision at the deployment, where `kubectl rollout` looks for it.
    fn set_revision(&mut self, revision: i64) -> bool {
        let annotations = self.deployment.metadata.annotations.get_or_insert_default();
        annotations::set(annotations, annotations::REVISION, revision)
    }

    async fn create_new_set(&mut self, revision: i64) -> Result<(), ReconcileError> {
        let planned = self.plan_new_set(revision);
        let name = planned.metadata.name.clone().unwrap_or_default();
        let size = sets::replicas(&planned);
        let created = self.sets_api().create(&PostParams::default(), &planned).await;
        match self.note_write(created) {
            Ok(created) => {
                if size > 0 {
                    let message = format!("Scaled up replica set {name} from 0 to {size}");
                    self.event(EventType::Normal, "ScalingReplicaSet", message);
                }
                self.sets.new = Some(created.into());
                self.set_revision(revision);
                if status::deadline(&self.deployment).is_some() {
                    self.set_progressing("True", "NewReplicaSetCreated", format!("Created new replica set {name:?}"));
                }
                Ok(self.write_deployment().await?)
            }
            Err(error) if api_error::is_already_exists(&error) => self.settle_collision(&name, error).await,
            Err(error) => Err(self.tell_create_failure(&name, error).await),
        }
    }

    /// The name is taken: by what an earlier reconcile created and the cache does not show yet, or by another template with the same hash.
    async fn settle_collision(&mut self, name: &str, error: kube::Error) -> Result<(), ReconcileError> {
        let present = self.sets_api().get(name).await?;
        let is_ours = controller_of(&present).map(|owner| &owner.uid) == self.deployment.metadata.uid.as_ref();
        let found = Sets::of(&self.deployment, vec![present.into()]);
        if is_ours && found.new.is_some() {
            self.sets.new = found.new;
            return Ok(());
        }
        let status = self.deployment.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        self.write_deployment().await?;
        // The next try makes another name.
        Err(error.into())
    }

    async fn tell_create_failure(&mut self, name: &str, error: kube::Error) -> ReconcileError {
        if api_error::is_namespace_terminating(&error) {
            return error.into();
        }
        let message = format!("Failed to create new replica set {name:?}: {}", api_error::message(&error));
        self.event(EventType::Warning, "ReplicaSetCreateError", message.clone());
        if status::deadline(&self.deployment).is_some() {
            self.set_progressing("False", "ReplicaSetCreateError", message);
            if let Err(error) = self.write_deployment().await {
                return error.into();
            }
        }
        error.into()
    }

    /// The replica set of the present template.
    fn plan_new_set(&self, revision: i64) -> ReplicaSet {
        let spec = self.deployment.spec.clone().unwrap_or_default();
        let collisions = self.deployment.status.as_ref().and_then(|status| status.collision_count);
        let hash = template_hash::of(&spec.template, collisions);
        let (mut template, mut selector) = (spec.template, spec.selector);
        let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.insert(template_hash::LABEL.to_owned(), hash.clone());
        let labels = labels.clone();
        selector.match_labels.get_or_insert_default().insert(template_hash::LABEL.to_owned(), hash.clone());
        let bounds = Bounds::of(&self.deployment);
        let total = self.sets.old.iter().map(|set| sets::present(set)).sum();
        // Where it cannot be told how many pods there are, it grows when it can.
        let size = if self.sets.are_observed() { rolling::new_size(&bounds, 0, total) } else { 0 };
        let mut base = self.deployment.metadata.name.clone().unwrap_or_default();
        base.truncate(MAX_NAME - 1 - hash.len());
        let mut set = ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{base}-{hash}")),
                namespace: self.deployment.metadata.namespace.clone(),
                labels: Some(labels),
                owner_references: Some(vec![ownership::controller_reference(&self.deployment)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(size),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            status: None,
        };
        annotations::set_scale(&mut set, &bounds);
        annotations::set_newest(&mut set, &self.deployment, revision);
        set
    }
}
