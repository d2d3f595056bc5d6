//! Volumes: whose they are, and what that makes of them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use orchestra_core::{
    ObjectKey,
    persistent_volume::{BOUND_BY_CONTROLLER, volume_name},
};

use super::PersistentVolumeBinder;

/// The claim that a volume is bound to, or kept for.
pub(super) fn claim_key(volume: &PersistentVolume) -> Option<ObjectKey> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(ObjectKey::new(claim.namespace.as_deref(), claim.name.as_deref().unwrap_or_default()))
}

impl PersistentVolumeBinder {
    pub(super) async fn sync_volume(&self, volume: Arc<PersistentVolume>) -> Result<(), kube::Error> {
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let uid = reference.and_then(|claim| claim.uid.clone()).filter(|uid| !uid.is_empty());
        let (Some(key), Some(uid)) = (claim_key(&volume), uid) else {
            // Free, or kept for a claim by name alone, which will find it.
            return self.volume_phase(volume, "Available", "").await.map(drop);
        };
        let claim = self.claims.get(&key).filter(|claim| claim.metadata.uid.as_deref() == Some(&*uid));
        let Some(claim) = claim else { return self.release(volume).await };
        match volume_name(&claim) {
            // The claim's own turn completes it.
            None => Ok(()),
            Some(name) if Some(name) == volume.metadata.name.as_deref() => {
                self.volume_phase(volume, "Bound", "").await.map(drop)
            }
            // The claim got another volume meanwhile.
            Some(_) => self.unbind(&volume).await,
        }
    }

    /// Takes back the pointer to a claim; a pointer that somebody else had set stays, without the uid.
    async fn unbind(&self, volume: &PersistentVolume) -> Result<(), kube::Error> {
        let mut changed = volume.clone();
        let annotations = changed.metadata.annotations.as_mut();
        let is_ours = annotations.is_some_and(|all| all.remove(BOUND_BY_CONTROLLER).is_some());
        if let Some(spec) = &mut changed.spec {
            if is_ours {
                spec.claim_ref = None;
            } else if let Some(claim) = &mut spec.claim_ref {
                claim.uid = None;
            }
        }
        let unbound = self.write_volume(&changed).await?;
        self.volume_phase(unbound, "Available", "").await.map(drop)
    }
}
