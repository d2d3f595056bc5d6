//! What has to be done about a pod's claims of devices when none of its nodes takes it.

use k8s_openapi::api::resource::v1::ResourceClaim;
use kube::{Api, api::PostParams};
use orchestra_core::{
    ObjectKey,
    device::{is_extended_resource_claim, is_made_for},
    scheduler::PodInfo,
};
use tracing::{debug, warn};

use super::Shared;
use crate::plugins::{default_binder::words, dynamic_resources::delete};

impl Shared {
    /// Has a claim that is allocated and that nobody but `pod` uses give its devices back, so that it may get others. One that was made for the
    /// pod's extended resources is deleted, as others are made for each attempt.
    pub(super) async fn deallocate(&self, pod: &PodInfo, claim: &ObjectKey) {
        let api: Api<ResourceClaim> = Api::namespaced(self.client.clone(), claim.namespace().unwrap_or_default());
        let work = async {
            let mut found = api.get(claim.name()).await?;
            if is_extended_resource_claim(&found) && is_made_for(&found, pod.pod()) {
                return delete(&api, found).await;
            }
            let Some(status) = &mut found.status else { return Ok(()) };
            let users = status.reserved_for.as_deref().unwrap_or_default();
            if status.allocation.is_none() || users.iter().any(|user| *user.uid != **pod.id()) {
                // It is as it was no longer.
                return Ok(());
            }
            (status.allocation, status.reserved_for, status.devices) = (None, None, None);
            api.replace_status(claim.name(), &PostParams::default(), &found).await.map(drop)
        };
        match self.writing(work).await {
            Ok(()) => debug!(pod = %pod.key(), %claim, "deallocated"),
            // The pod's next attempt asks again.
            Err(error) => warn!(pod = %pod.key(), %claim, error = words(&error), "not deallocated"),
        }
    }
}
