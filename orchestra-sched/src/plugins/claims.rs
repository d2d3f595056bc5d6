//! The claims that a pod names.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Volume};
use orchestra_core::{
    ObjectKey,
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

/// The claim of this name in the pod's namespace, else that there is none, in Kubernetes' words.
pub(super) fn find_claim<'a>(
    name: &str,
    pod: &PodInfo,
    objects: &'a Objects,
) -> Result<&'a Arc<PersistentVolumeClaim>, String> {
    let claim = objects.get::<PersistentVolumeClaim>(&ObjectKey::new(pod.key().namespace(), name));
    claim.ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))
}
