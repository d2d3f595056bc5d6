//! Claims of devices for pods (`pkg/controller/resourceclaim` of Kubernetes): made from templates, and given back.
//!
//! ```text
//!   Pod, ResourceClaimTemplate ──► ResourceClaim, the pod's status.resourceClaimStatuses      make
//!   Pod done ──► out of reservedFor ──► deallocated ──► finalizer gone, own claim deleted     release
//! ```

mod make;
mod release;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodResourceClaim};
use orchestra_core::{
    ObjectKey,
    device::claim_name,
    informer::{Informer, InformerFactory},
};

pub use self::{make::ResourceClaimController, release::ResourceClaimRelease};
use super::pod_state;
use crate::lean_pod::LeanPod;

/// The index of pods by the claims that they name.
const BY_CLAIM: &str = "resource-claim";

fn entries(pod: &Pod) -> &[PodResourceClaim] {
    pod.spec.as_ref().and_then(|spec| spec.resource_claims.as_deref()).unwrap_or_default()
}

/// The claims that a pod names, as far as they are made, and the one that the scheduler made for its extended resources (KEP-5004).
fn claims(pod: &Pod) -> Vec<ObjectKey> {
    let names = entries(pod).iter().filter_map(|entry| claim_name(pod, entry).ok().flatten());
    let extended = pod.status.as_ref().and_then(|status| status.extended_resource_claim_status.as_ref());
    names
        .chain(extended.map(|status| status.resource_claim_name.as_str()))
        .map(|name| ObjectKey::new(pod.metadata.namespace.as_deref(), name))
        .collect()
}

/// The informer of pods, which finds them by the claims that they name.
fn pods_by_claim(informers: &InformerFactory) -> Informer<LeanPod> {
    let pods = informers.informer::<LeanPod>();
    pods.add_index(BY_CLAIM, |pod| claims(pod).iter().map(ToString::to_string).collect());
    pods
}

fn users(pods: &Informer<LeanPod>, claim: &ObjectKey) -> Vec<Arc<LeanPod>> {
    pods.by_index(BY_CLAIM, &claim.to_string())
}

/// Whether it is certain that no container of the pod runs, and none will.
fn is_done(pod: &Pod) -> bool {
    let has_no_node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_none_or(String::is_empty);
    pod_state::is_finished(pod) || (pod.metadata.deletion_timestamp.is_some() && has_no_node)
}
