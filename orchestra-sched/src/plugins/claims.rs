//! The claims that a pod names.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Volume};
use orchestra_core::{
    ObjectKey,
    persistent_volume::uses,
    scheduler::{Objects, PodInfo},
};

/// The pod's volumes.
pub(super) fn volumes(pod: &PodInfo) -> &[Volume] {
    pod.spec().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

/// The names of the claims that the pod shares with others: those made for it alone are left out.
pub(super) fn named_claims(pod: &PodInfo) -> impl Iterator<Item = &str> {
    volumes(pod).iter().filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// Whether the pod names `claim`.
pub(super) fn is_claim_of(claim: &PersistentVolumeClaim, pod: &PodInfo) -> bool {
    let metadata = &claim.metadata;
    metadata.namespace.as_deref() == pod.key().namespace()
        && named_claims(pod).any(|name| Some(name) == metadata.name.as_deref())
}

/// Whether the pod uses the claim called so, shared with others or made for it alone.
pub(super) fn uses_claim(pod: &PodInfo, namespace: Option<&str>, name: Option<&str>) -> bool {
    namespace == pod.key().namespace() && uses(pod.pod()).any(|used| Some(&*used.claim) == name)
}

/// Whether the claim was made for the pod alone.
pub(super) fn is_made_for(claim: &PersistentVolumeClaim, pod: &PodInfo) -> bool {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    owners.any(|owner| Some(&owner.uid) == pod.pod().metadata.uid.as_ref())
}

/// The claim of this name in the pod's namespace, else that there is none, in Kubernetes' words.
pub(super) fn find_claim<'a>(
    name: &str,
    pod: &PodInfo,
    objects: &'a Objects,
) -> Result<&'a Arc<PersistentVolumeClaim>, String> {
    let claim = objects.get::<PersistentVolumeClaim>(&ObjectKey::new(pod.key().namespace(), name));
    claim.ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))
}
