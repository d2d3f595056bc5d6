//! Claims that need a volume that does not exist yet.

use std::sync::Arc;

use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::StorageClass};
use orchestra_core::{controller::Action, event_recorder::EventType, persistent_volume::class_of_claim};

use super::{PERIOD, PersistentVolumeBinder};

/// What provisioners know the claims by that are theirs; older ones look for the second.
const PROVISIONER: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

impl PersistentVolumeBinder {
    /// Asks the provisioner of the claim's class for a volume. Provisioners are controllers of their own, and this one has none built in.
    pub(super) async fn provision(
        &self,
        claim: Arc<PersistentVolumeClaim>,
        class: Option<&StorageClass>,
    ) -> Result<Action, kube::Error> {
        let failed = |why: String| self.events.event(&*claim, EventType::Warning, "ProvisioningFailed", why);
        match class {
            None => {
                let class = class_of_claim(&claim).unwrap_or_default();
                failed(format!("storageclass.storage.k8s.io {class:?} not found"));
            }
            Some(StorageClass { provisioner, .. }) if provisioner.starts_with("kubernetes.io/") => {
                failed(format!("no volume plugin matched name: {provisioner}"));
            }
            Some(StorageClass { provisioner, .. }) => {
                let claim = self.name_provisioner(&claim, provisioner).await?;
                let message = format!(
                    "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually \
                     by the system administrator. If volume creation is delayed, please verify that the provisioner is \
                     running and correctly registered."
                );
                self.events.event(&*claim, EventType::Normal, "ExternalProvisioning", message);
            }
        }
        Ok(Action::RequeueAfter(PERIOD))
    }

    async fn name_provisioner(
        &self,
        claim: &Arc<PersistentVolumeClaim>,
        provisioner: &str,
    ) -> Result<Arc<PersistentVolumeClaim>, kube::Error> {
        let mut changed = (**claim).clone();
        let annotations = changed.metadata.annotations.get_or_insert_default();
        annotations.extend(PROVISIONER.map(|key| (key.to_owned(), provisioner.to_owned())));
        if changed == **claim { Ok(Arc::clone(claim)) } else { self.write_claim(&changed).await }
    }
}
