//! Volumes whose claims are gone (`persistentVolumeReclaimPolicy`).

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use orchestra_core::event_recorder::EventType;

use super::{PersistentVolumeBinder, volume::phase};

/// Who made a volume, if no person did.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

impl PersistentVolumeBinder {
    pub(super) async fn release(&self, volume: Arc<PersistentVolume>) -> Result<(), kube::Error> {
        // What went wrong before is still to be seen.
        let volume = match phase(&volume) {
            Some("Failed") => volume,
            _ => self.volume_phase(volume, "Released", "").await?,
        };
        match volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) {
            None | Some("Retain") => Ok(()),
            Some("Delete") if is_provisioned_elsewhere(&volume) => Ok(()),
            Some("Delete") => {
                let name = volume.metadata.name.as_deref().unwrap_or_default();
                let why = format!(
                    "error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"
                );
                self.fail(volume, "VolumeFailedDelete", &why).await
            }
            Some("Recycle") => {
                self.fail(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!").await
            }
            Some(_) => {
                let why = "Volume has unrecognized PersistentVolumeReclaimPolicy";
                self.fail(volume, "VolumeUnknownReclaimPolicy", why).await
            }
        }
    }

    async fn fail(&self, volume: Arc<PersistentVolume>, reason: &str, message: &str) -> Result<(), kube::Error> {
        if phase(&volume) == Some("Failed") {
            return Ok(());
        }
        let failed = self.volume_phase(volume, "Failed", message).await?;
        self.events.event(&*failed, EventType::Warning, reason, message);
        Ok(())
    }
}

/// Whether a provisioner made the volume, which will delete it too.
fn is_provisioned_elsewhere(volume: &PersistentVolume) -> bool {
    let by = volume.metadata.annotations.as_ref().and_then(|all| all.get(PROVISIONED_BY));
    by.is_some_and(|by| !by.is_empty() && !by.starts_with("kubernetes.io/"))
}
