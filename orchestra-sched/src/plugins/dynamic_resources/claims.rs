//! The claims that a pod names.

use std::sync::Arc;

use k8s_openapi::api::{core::v1::PodResourceClaim, resource::v1::ResourceClaim};
use orchestra_core::{
    ObjectKey,
    device::{ClaimError, claim_name, is_made_for},
    scheduler::{Objects, PodInfo},
};

/// The pod's own entries.
pub(super) fn entries(pod: &PodInfo) -> &[PodResourceClaim] {
    pod.spec().and_then(|spec| spec.resource_claims.as_deref()).unwrap_or_default()
}

/// The keys of the pod's claims, those left out of which it needs none.
pub(super) fn keys(pod: &PodInfo) -> Result<Vec<ObjectKey>, ClaimError> {
    let key = |name: &str| ObjectKey::new(pod.key().namespace(), name);
    let names = entries(pod).iter().filter_map(|entry| claim_name(pod.pod(), entry).transpose());
    names.map(|name| name.map(key)).collect()
}

/// The pod's claims, else why it cannot use one of them, in kube-scheduler's words.
pub(super) fn find<'a>(pod: &PodInfo, objects: &'a Objects) -> Result<Vec<&'a Arc<ResourceClaim>>, String> {
    let mut claims = Vec::new();
    for entry in entries(pod) {
        let Some(name) = claim_name(pod.pod(), entry).map_err(|error| error.to_string())? else { continue };
        let key = ObjectKey::new(pod.key().namespace(), name);
        let claim = objects.get::<ResourceClaim>(&key);
        let claim = claim.ok_or_else(|| format!("could not find claim \"{key}\""))?;
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("resourceclaim {name:?} is being deleted"));
        }
        if entry.resource_claim_name.is_none() && !is_made_for(claim, pod.pod()) {
            let owner = "was not created for pod";
            return Err(format!("ResourceClaim {key} {owner} {} (pod is not owner)", pod.key()));
        }
        claims.push(claim);
    }
    Ok(claims)
}
