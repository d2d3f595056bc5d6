//! Claims that have been bound: they keep their volume, or are lost.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use orchestra_core::{ObjectKey, persistent_volume::volume_name};

use super::PersistentVolumeBinder;

impl PersistentVolumeBinder {
    pub(super) async fn sync_bound(&self, claim: Arc<PersistentVolumeClaim>) -> Result<(), kube::Error> {
        let Some(name) = volume_name(&claim).map(str::to_owned) else {
            let message = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", message).await;
        };
        let Some(volume) = self.volumes.get(&ObjectKey::cluster(&name)) else {
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            return self.lose(claim, "ClaimLost", message).await;
        };
        let owner = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).map(|claim| claim.uid.as_deref());
        match owner {
            // It came unbound, or, as its pointer is written first, was bound before its last state was told.
            None => self.bind(volume, claim).await,
            Some(uid) if uid == claim.metadata.uid.as_deref() => self.bind(volume, claim).await,
            Some(_) => {
                let message = "Two claims are bound to the same volume, this one is bound incorrectly";
                self.lose(claim, "ClaimMisbound", message).await
            }
        }
    }
}
