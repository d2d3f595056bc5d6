//! Claims that have not been bound yet.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use orchestra_core::{
    ObjectKey,
    controller::Action,
    event_recorder::EventType,
    persistent_volume::{
        BOUND_BY_CONTROLLER, SELECTED_NODE, Wanted, class_of_claim, default_class, is_annotated, is_for,
        waits_for_consumer,
    },
};

use super::{PERIOD, PersistentVolumeBinder};
use crate::controllers::claim_users;

impl PersistentVolumeBinder {
    /// A claim that takes any volume that fits.
    pub(super) async fn sync_free(&self, claim: Arc<PersistentVolumeClaim>) -> Result<Action, kube::Error> {
        let class = class_of_claim(&claim).unwrap_or_default();
        let known = self.classes.get(&ObjectKey::cluster(class));
        let waits = known.as_ref().is_some_and(|class| waits_for_consumer(class));
        let volumes = self.volumes.list();
        if let Some(volume) = Wanted::by(&claim).best_of(&volumes, waits) {
            self.bind(Arc::clone(volume), claim).await?;
            return Ok(Action::Done);
        }
        if self.assign_default_class(&claim).await? {
            // Its change brings it here again.
            return Ok(Action::Done);
        }
        if waits && !is_annotated(&claim.metadata, SELECTED_NODE) {
            self.tell_to_wait(&claim);
        } else if !class.is_empty() {
            return self.provision(claim, known.as_deref()).await;
        } else {
            let message = "no persistent volumes available for this claim and no storage class is set";
            self.events.event(&*claim, EventType::Normal, "FailedBinding", message);
        }
        self.wait(claim).await
    }

    /// A claim that names its volume.
    pub(super) async fn sync_named(
        &self,
        claim: Arc<PersistentVolumeClaim>,
        name: &ObjectKey,
    ) -> Result<Action, kube::Error> {
        let Some(volume) = self.volumes.get(name) else { return self.wait(claim).await };
        let is_free = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none());
        if is_free && let Err(mismatch) = Wanted::by(&claim).check(&volume) {
            let message = format!("Cannot bind to requested volume {:?}: {mismatch}", name.name());
            self.events.event(&*claim, EventType::Warning, "VolumeMismatch", message);
            return self.wait(claim).await;
        }
        if is_free || is_for(&volume, &claim) {
            self.bind(volume, claim).await?;
            return Ok(Action::Done);
        }
        // The controller itself names only volumes that it has reserved before: then somebody took that back.
        if !is_annotated(&claim.metadata, BOUND_BY_CONTROLLER) {
            let message = format!("volume {:?} already bound to a different claim.", name.name());
            self.events.event(&*claim, EventType::Warning, "FailedBinding", message);
        }
        self.wait(claim).await
    }

    /// Leaves the claim as it is until something changes, or for a while.
    pub(super) async fn wait(&self, claim: Arc<PersistentVolumeClaim>) -> Result<Action, kube::Error> {
        self.claim_phase(claim, "Pending", None).await?;
        Ok(Action::RequeueAfter(PERIOD))
    }

    /// Gives the claim the default class, if it came when there was none (KEP-3333).
    async fn assign_default_class(&self, claim: &PersistentVolumeClaim) -> Result<bool, kube::Error> {
        if class_of_claim(claim).is_some() {
            return Ok(false);
        }
        let Some(class) = default_class(self.classes.list()) else { return Ok(false) };
        let mut changed = claim.clone();
        changed.spec.get_or_insert_default().storage_class_name.clone_from(&class.metadata.name);
        self.write_claim(&changed).await?;
        Ok(true)
    }

    fn tell_to_wait(&self, claim: &PersistentVolumeClaim) {
        let waiting = claim_users::of(&self.pods, claim);
        let names: Vec<&str> = waiting
            .iter()
            .filter(|pod| crate::pods_by_node::node_of(pod).is_none())
            .filter_map(|pod| pod.metadata.name.as_deref())
            .collect();
        let (reason, message) = match names.as_slice() {
            [] => ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".to_owned()),
            [one] => ("WaitForPodScheduled", format!("waiting for pod {one} to be scheduled")),
            several => ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", several.join(","))),
        };
        self.events.event(claim, EventType::Normal, reason, message);
    }
}
