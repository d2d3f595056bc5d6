//! Keeps volumes that are being deleted while a claim is bound to them (`kubernetes.io/pv-protection`).

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::{Api, Client, api::PostParams};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::Informer,
};

use super::{api_error, finalizer};

const FINALIZER: &str = "kubernetes.io/pv-protection";

/// Holds each volume by a finalizer, and lets it go when it is deleted and not bound.
pub struct VolumeProtection {
    client: Client,
    volumes: Informer<PersistentVolume>,
}

impl VolumeProtection {
    /// A controller of all volumes. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        Self { client: context.client.clone(), volumes: context.informers.informer() }
    }
}

#[async_trait]
impl Controller for VolumeProtection {
    fn name(&self) -> &str {
        "persistentvolume-protection"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::objects(&self.volumes)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(volume) = self.volumes.get(key) else { return Ok(Action::Done) };
        let is_bound = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
        let mut changed = (*volume).clone();
        match (volume.metadata.deletion_timestamp.is_some(), finalizer::has(&volume.metadata, FINALIZER)) {
            (false, false) => finalizer::add(&mut changed.metadata, FINALIZER),
            (true, true) if !is_bound => finalizer::remove(&mut changed.metadata, FINALIZER),
            _ => return Ok(Action::Done),
        }
        let api = Api::<PersistentVolume>::all(self.client.clone());
        match api.replace(key.name(), &PostParams::default(), &changed).await {
            // A newer state will come, and bring the volume here again.
            Err(error) if api_error::is_conflict(&error) || api_error::is_not_found(&error) => {}
            other => drop(other?),
        }
        Ok(Action::Done)
    }
}
