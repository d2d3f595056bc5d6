//! The pods that use a claim of a volume, found by the claim.

use std::sync::Arc;

use crate::lean_pod::LeanPod;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use orchestra_core::{
    ObjectKey,
    informer::{Informer, InformerFactory},
    persistent_volume::uses,
};

const INDEX: &str = "claim";

/// All pods, with the index that [`of`] looks in.
pub(super) fn indexed(informers: &InformerFactory) -> Informer<LeanPod> {
    let pods = informers.informer::<LeanPod>();
    pods.add_index(INDEX, |pod| claims(pod).map(|key| key.to_string()).collect());
    pods
}

/// The claims that a pod uses.
pub(super) fn claims(pod: &Pod) -> impl Iterator<Item = ObjectKey> {
    let namespace = pod.metadata.namespace.as_deref();
    uses(pod).map(move |used| ObjectKey::new(namespace, &used.claim))
}

/// The pods that use the claim.
pub(super) fn of(pods: &Informer<LeanPod>, claim: &PersistentVolumeClaim) -> Vec<Arc<LeanPod>> {
    pods.by_index(INDEX, &ObjectKey::of(claim).to_string())
}
