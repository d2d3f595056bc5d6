//! What has to be done about a pod's claims of devices before it is bound (`DynamicResources` at PreBind), and when none of its nodes takes
//! it any more.

use k8s_openapi::api::resource::v1::ResourceClaim;
use kube::{Api, ResourceExt, api::PostParams};
use orchestra_core::{
    ObjectKey,
    device::{FINALIZER, allocation, is_reserved_for, pod_user},
    scheduler::{ClaimAllocation, Placement, PodInfo},
};
use tracing::{debug, warn};

use super::Shared;
use crate::plugins::default_binder::words;

/// How often a write is tried that others get ahead of, as in client-go's `retry.DefaultRetry`.
const ATTEMPTS: usize = 5;

/// Why a claim was not written.
enum Refused {
    /// Somebody else wrote first.
    Conflict(String),
    /// In the words that users are told.
    Failed(String),
}

impl Refused {
    fn of(what: &str, error: &kube::Error) -> Self {
        let text = format!("{what}: {}", words(error));
        match error {
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict(text),
            _ => Self::Failed(text),
        }
    }
}

impl Shared {
    /// Writes which devices the pod's claims get, and that the pod uses them.
    pub(super) async fn bind_devices(&self, pod: &PodInfo, placement: &Placement) -> Result<(), String> {
        for decided in &placement.claims {
            let written = self.writing(self.bind_claim(pod, decided)).await?;
            let version = written.resource_version().unwrap_or_default();
            self.state.change(|state, _| state.cache.devices_written(&decided.claim, &version));
        }
        Ok(())
    }

    async fn bind_claim(&self, pod: &PodInfo, decided: &ClaimAllocation) -> Result<ResourceClaim, String> {
        let api = self.claims(&decided.claim);
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let claim = api.get(decided.claim.name()).await;
            let claim = claim.map_err(|error| format!("get claim {}: {}", decided.claim, words(&error)))?;
            match write(&api, pod, decided, claim).await {
                Ok(written) => return Ok(written),
                Err(Refused::Failed(why)) => return Err(why),
                Err(Refused::Conflict(why)) => last = why,
            }
        }
        Err(last)
    }

    /// Has a claim that is allocated and that nobody but `pod` uses give its devices back, so that it may get others.
    pub(super) async fn deallocate(&self, pod: &PodInfo, claim: &ObjectKey) {
        let api = self.claims(claim);
        let work = async {
            let mut found = api.get(claim.name()).await?;
            let Some(status) = &mut found.status else { return Ok(()) };
            let users = status.reserved_for.as_deref().unwrap_or_default();
            if status.allocation.is_none() || users.iter().any(|user| *user.uid != **pod.id()) {
                // It is as it was no longer.
                return Ok(());
            }
            (status.allocation, status.reserved_for) = (None, None);
            api.replace_status(claim.name(), &PostParams::default(), &found).await.map(drop)
        };
        match self.writing(work).await {
            Ok(()) => debug!(pod = %pod.key(), %claim, "deallocated"),
            // The pod's next attempt asks again.
            Err(error) => warn!(pod = %pod.key(), %claim, error = words(&error), "not deallocated"),
        }
    }

    fn claims(&self, claim: &ObjectKey) -> Api<ResourceClaim> {
        Api::namespaced(self.client.clone(), claim.namespace().unwrap_or_default())
    }
}

async fn write(
    api: &Api<ResourceClaim>,
    pod: &PodInfo,
    decided: &ClaimAllocation,
    mut claim: ResourceClaim,
) -> Result<ResourceClaim, Refused> {
    let (key, name, params) = (&decided.claim, decided.claim.name(), PostParams::default());
    if claim.metadata.deletion_timestamp.is_some() || claim.metadata.uid.as_ref() != Some(&decided.uid) {
        return Err(Refused::Failed(format!("claim {key} got deleted in the meantime")));
    }
    let (is_allocated, is_reserved) = (allocation(&claim).is_some(), is_reserved_for(&claim, pod.id()));
    match &decided.allocation {
        // An attempt before this one wrote it, and its answer was lost.
        Some(wanted) if is_reserved && allocation(&claim) == Some(wanted) => return Ok(claim),
        Some(_) if is_allocated => {
            return Err(Refused::Failed(format!("claim {key} got allocated elsewhere in the meantime")));
        }
        None if is_reserved => return Ok(claim),
        _ => {}
    }
    if decided.allocation.is_some() && !claim.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        claim.finalizers_mut().push(FINALIZER.to_owned());
        let added = api.replace(name, &params, &claim).await;
        claim = added.map_err(|error| Refused::of(&format!("add finalizer to claim {key}"), &error))?;
    }
    let status = claim.status.get_or_insert_default();
    let what = match &decided.allocation {
        Some(allocation) => {
            status.allocation = Some(allocation.clone());
            "add allocation and reservation to claim"
        }
        None => "add reservation to claim",
    };
    status.reserved_for.get_or_insert_default().push(pod_user(pod.key().name(), pod.id()));
    let written = api.replace_status(name, &params, &claim).await;
    written.map_err(|error| Refused::of(&format!("{what} {key}"), &error))
}
