//! Binds claims to volumes, and says what has become of both: `persistentvolume-binder`.
//!
//! ```text
//!   claim Pending ──► a volume that fits ──► volume.claimRef, volume Bound ──► claim.volumeName, claim Bound
//!      │ none                                                                    │ claim deleted
//!      └─► no class: wait · class: ask its provisioner · WaitForFirstConsumer: leave it to the scheduler
//!                                            volume Released ──► retained, or Failed where nothing can delete it
//! ```

mod bind;
mod bound_claim;
mod free_claim;
mod provision;
mod reclaim;
mod volume;
mod written;

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::Client;
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    event_recorder::EventRecorder,
    informer::Informer,
    persistent_volume::{BIND_COMPLETED, class_of_claim, class_of_volume, is_annotated, is_default, volume_name},
};

use self::written::Written;
use super::{api_error, claim_users};
use crate::lean_pod::LeanPod;

/// The component that events come from.
const COMPONENT: &str = "persistentvolume-controller";
/// How soon to look again at what cannot be bound, and tell again why (`--pvclaimbinder-sync-period`).
const PERIOD: Duration = Duration::from_secs(15);
/// How soon to try again after somebody else wrote first.
const CONFLICT: Duration = Duration::from_millis(100);

/// The index of the claims that have no volume, by the class they ask for.
const BY_CLASS: &str = "class-of-unbound";
/// The index of claims by the volume they name.
const BY_VOLUME: &str = "volume";
/// The index of volumes by the claim they name.
const BY_CLAIM: &str = "claim";

/// Finds volumes for claims, and sees to volumes whose claims are gone.
///
/// Volumes are made by hand or by provisioners that are controllers of their own: this one asks for them, by annotation and event, as
/// kube-controller-manager does. It deletes none and empties none, as there is nothing in it that could.
pub struct PersistentVolumeBinder {
    client: Client,
    claims: Written<PersistentVolumeClaim>,
    volumes: Written<PersistentVolume>,
    classes: Informer<StorageClass>,
    pods: Informer<LeanPod>,
    events: EventRecorder,
}

impl PersistentVolumeBinder {
    /// A binder of all claims. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let claims = context.informers.informer::<PersistentVolumeClaim>();
        claims.add_index(BY_CLASS, |claim| {
            let is_unbound = volume_name(claim).is_none() && !is_annotated(&claim.metadata, BIND_COMPLETED);
            is_unbound.then(|| class_of_claim(claim).unwrap_or_default().to_owned()).into_iter().collect()
        });
        claims.add_index(BY_VOLUME, |claim| volume_name(claim).map(str::to_owned).into_iter().collect());
        let volumes = context.informers.informer::<PersistentVolume>();
        volumes.add_index(BY_CLAIM, |volume| volume::claim_key(volume).iter().map(ObjectKey::to_string).collect());
        Self {
            client: context.client.clone(),
            claims: Written::new(claims),
            volumes: Written::new(volumes),
            classes: context.informers.informer(),
            pods: claim_users::indexed(&context.informers),
            events: context.recorder(COMPONENT),
        }
    }

    async fn sync(&self, key: &ObjectKey) -> Result<Action, kube::Error> {
        if key.namespace().is_none() {
            if let Some(volume) = self.volumes.get(key) {
                self.sync_volume(volume).await?;
            }
            return Ok(Action::Done);
        }
        let Some(claim) = self.claims.get(key) else { return Ok(Action::Done) };
        if is_annotated(&claim.metadata, BIND_COMPLETED) {
            self.sync_bound(claim).await?;
            return Ok(Action::Done);
        }
        // A volume would be released as soon as it is bound.
        if claim.metadata.deletion_timestamp.is_some() {
            return Ok(Action::Done);
        }
        match volume_name(&claim).map(ObjectKey::cluster) {
            Some(volume) => self.sync_named(claim, &volume).await,
            None => self.sync_free(claim).await,
        }
    }
}

#[async_trait]
impl Controller for PersistentVolumeBinder {
    fn name(&self) -> &str {
        "persistentvolume-binder"
    }

    /// Keys with a namespace are claims', the others volumes'.
    fn watches(&self) -> Vec<Watch> {
        let claims = self.claims.informer();
        let (of_volumes, of_classes, volumes) = (claims.clone(), claims.clone(), self.volumes.informer().clone());
        vec![
            Watch::objects(claims),
            Watch::mapped(claims, move |change| volumes_of_claim(&volumes, change.object())),
            Watch::objects(self.volumes.informer()),
            Watch::mapped(self.volumes.informer(), move |change| claims_of_volume(&of_volumes, change.object())),
            Watch::mapped(&self.classes, move |change| claims_of_class(&of_classes, change.object())),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        match self.sync(key).await {
            Err(error) if api_error::is_conflict(&error) => Ok(Action::RequeueAfter(CONFLICT)),
            // It went while this reconcile still saw it.
            Err(error) if api_error::is_not_found(&error) => Ok(Action::Done),
            other => Ok(other?),
        }
    }
}

/// The volumes that a change of the claim concerns: the one that it names, and those that name it.
fn volumes_of_claim(volumes: &Informer<PersistentVolume>, claim: &PersistentVolumeClaim) -> Vec<ObjectKey> {
    let naming = volumes.by_index(BY_CLAIM, &ObjectKey::of(claim).to_string());
    let naming = naming.iter().map(|volume| ObjectKey::of(&**volume));
    volume_name(claim).map(ObjectKey::cluster).into_iter().chain(naming).collect()
}

/// The claims that a change of the volume concerns: its own, those that name it, and those that may want it.
fn claims_of_volume(claims: &Informer<PersistentVolumeClaim>, volume: &PersistentVolume) -> Vec<ObjectKey> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let mut keys: Vec<ObjectKey> =
        claims.by_index(BY_VOLUME, name).iter().map(|claim| ObjectKey::of(&**claim)).collect();
    match volume::claim_key(volume) {
        Some(key) => keys.push(key),
        None => keys.extend(unbound(claims, class_of_volume(volume))),
    }
    keys
}

/// The claims that a change of the class concerns.
fn claims_of_class(claims: &Informer<PersistentVolumeClaim>, class: &StorageClass) -> Vec<ObjectKey> {
    let mut keys = unbound(claims, class.metadata.name.as_deref().unwrap_or_default());
    if is_default(class) {
        keys.extend(unbound(claims, ""));
    }
    keys
}

fn unbound(claims: &Informer<PersistentVolumeClaim>, class: &str) -> Vec<ObjectKey> {
    claims.by_index(BY_CLASS, class).iter().map(|claim| ObjectKey::of(&**claim)).collect()
}
