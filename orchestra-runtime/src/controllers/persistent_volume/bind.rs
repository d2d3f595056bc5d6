//! The writes that bind a claim to a volume, and those that tell of their phases.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{Api, api::PostParams};
use orchestra_core::{
    event_recorder::EventType,
    persistent_volume::{BIND_COMPLETED, BOUND_BY_CONTROLLER, annotate, reserve, volume_name},
};

use super::PersistentVolumeBinder;

impl PersistentVolumeBinder {
    /// Does what is missing of the four steps: both pointers, the volume's first, and both phases.
    pub(super) async fn bind(
        &self,
        volume: Arc<PersistentVolume>,
        claim: Arc<PersistentVolumeClaim>,
    ) -> Result<(), kube::Error> {
        let volume = match reserve(&volume, &claim) {
            Some(reserved) => self.write_volume(&reserved).await?,
            None => volume,
        };
        let volume = self.volume_phase(volume, "Bound", "").await?;
        let claim = match pointed(&claim, &volume) {
            Some(pointed) => self.write_claim(&pointed).await?,
            None => claim,
        };
        self.claim_phase(claim, "Bound", Some(&volume)).await.map(drop)
    }

    pub(super) async fn write_volume(&self, volume: &PersistentVolume) -> Result<Arc<PersistentVolume>, kube::Error> {
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let written = Api::all(self.client.clone()).replace(name, &PostParams::default(), volume).await?;
        Ok(self.volumes.saw(written))
    }

    pub(super) async fn write_claim(
        &self,
        claim: &PersistentVolumeClaim,
    ) -> Result<Arc<PersistentVolumeClaim>, kube::Error> {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let written = self.claims_api(claim).replace(name, &PostParams::default(), claim).await?;
        Ok(self.claims.saw(written))
    }

    pub(super) async fn volume_phase(
        &self,
        volume: Arc<PersistentVolume>,
        phase: &str,
        message: &str,
    ) -> Result<Arc<PersistentVolume>, kube::Error> {
        if super::volume::phase(&volume) == Some(phase) {
            return Ok(volume);
        }
        let mut changed = (*volume).clone();
        let status = changed.status.get_or_insert_default();
        status.phase = Some(phase.to_owned());
        status.message = Some(message.to_owned()).filter(|message| !message.is_empty());
        let name = changed.metadata.name.clone().unwrap_or_default();
        let api = Api::<PersistentVolume>::all(self.client.clone());
        Ok(self.volumes.saw(api.replace_status(&name, &PostParams::default(), &changed).await?))
    }

    /// The phase of a claim, with what it has of its volume. The size is told when it is bound: after that it is for whoever makes
    /// volumes grow.
    pub(super) async fn claim_phase(
        &self,
        claim: Arc<PersistentVolumeClaim>,
        phase: &str,
        volume: Option<&PersistentVolume>,
    ) -> Result<Arc<PersistentVolumeClaim>, kube::Error> {
        let mut changed = (*claim).clone();
        let status = changed.status.get_or_insert_default();
        let begins = status.phase.as_deref() != Some(phase);
        status.phase = Some(phase.to_owned());
        let has = volume.and_then(|volume| volume.spec.as_ref());
        status.access_modes = has.and_then(|spec| spec.access_modes.clone());
        if has.is_none() || begins || status.capacity.is_none() {
            status.capacity = has.and_then(|spec| spec.capacity.clone());
        }
        if changed == *claim {
            return Ok(claim);
        }
        let name = changed.metadata.name.clone().unwrap_or_default();
        let api = self.claims_api(&changed);
        Ok(self.claims.saw(api.replace_status(&name, &PostParams::default(), &changed).await?))
    }

    /// Marks the claim as lost, and says why once.
    pub(super) async fn lose(
        &self,
        claim: Arc<PersistentVolumeClaim>,
        reason: &str,
        message: &str,
    ) -> Result<(), kube::Error> {
        if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
            return Ok(());
        }
        let lost = self.claim_phase(claim, "Lost", None).await?;
        self.events.event(&*lost, EventType::Warning, reason, message);
        Ok(())
    }

    fn claims_api(&self, claim: &PersistentVolumeClaim) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), claim.metadata.namespace.as_deref().unwrap_or_default())
    }
}

/// The claim with its pointer to the volume; `None` if it is there already.
fn pointed(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<PersistentVolumeClaim> {
    let mut changed = claim.clone();
    if volume_name(claim) != volume.metadata.name.as_deref() {
        changed.spec.get_or_insert_default().volume_name.clone_from(&volume.metadata.name);
        annotate(&mut changed.metadata, BOUND_BY_CONTROLLER);
    }
    annotate(&mut changed.metadata, BIND_COMPLETED);
    (changed != *claim).then_some(changed)
}
