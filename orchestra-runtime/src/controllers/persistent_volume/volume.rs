//! Volumes: whose they are, and what that makes of them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
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

/// What has become of a volume so far.
pub(super) fn phase(volume: &PersistentVolume) -> Option<&str> {
    volume.status.as_ref()?.phase.as_deref()
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
        let Some(claim) = claim else {
            // Volumes may be told of before their claims; who is released wrongly loses what is on it.
            let is_released = matches!(phase(&volume), Some("Released" | "Failed"));
            if !is_released && self.is_there(&key, &uid).await? {
                return Ok(());
            }
            return self.release(volume).await;
        };
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

    /// Whether the API server has this very claim. It is told of in a moment then, and that brings its volume here again.
    async fn is_there(&self, key: &ObjectKey, uid: &str) -> Result<bool, kube::Error> {
        let namespace = key.namespace().unwrap_or_default();
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), namespace);
        let claim = claims.get_opt(key.name()).await?;
        Ok(claim.is_some_and(|claim| claim.metadata.uid.as_deref() == Some(uid)))
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
