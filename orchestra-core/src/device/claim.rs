//! Which ResourceClaim a pod means (`k8s.io/dynamic-resource-allocation/resourceclaim`).

use k8s_openapi::api::{
    core::v1::{Pod, PodResourceClaim},
    resource::v1::{AllocationResult, ResourceClaim, ResourceClaimConsumerReference},
};

/// What keeps an allocated claim from going before its devices are given back.
pub const FINALIZER: &str = "resource.kubernetes.io/delete-protection";

/// How many may use a claim (`ResourceClaimReservedForMaxSize`).
pub const MAX_USERS: usize = 256;

/// The annotation of the claim that the scheduler makes for a pod's extended resources (KEP-5004).
pub const EXTENDED_RESOURCE_CLAIM: &str = "resource.kubernetes.io/extended-resource-claim";

/// Why a pod has no claim by that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It is to be made from a template, which has not happened yet.
    #[error("pod \"{namespace}/{pod}\": ResourceClaim not created yet")]
    NotCreated {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod: String,
    },
    /// The pod says neither which claim nor which template.
    #[error("pod \"{namespace}/{pod}\", spec.resourceClaim {name:?}: none of the supported fields are set")]
    Unsupported {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        pod: String,
        /// The claim's name in the pod.
        name: String,
    },
}

/// The name of the claim that is meant by an entry of a pod's `spec.resourceClaims`; `None` if the pod needs none for it. One that is made
/// from a template [is the pod's own](is_made_for).
pub fn claim_name<'a>(pod: &'a Pod, entry: &'a PodResourceClaim) -> Result<Option<&'a str>, ClaimError> {
    if let Some(name) = &entry.resource_claim_name {
        return Ok(Some(name));
    }
    let namespace = || pod.metadata.namespace.clone().unwrap_or_default();
    let name = || pod.metadata.name.clone().unwrap_or_default();
    if entry.resource_claim_template_name.is_none() {
        return Err(ClaimError::Unsupported { namespace: namespace(), pod: name(), name: entry.name.clone() });
    }
    let mut statuses = pod.status.iter().flat_map(|status| status.resource_claim_statuses.iter().flatten());
    match statuses.find(|status| status.name == entry.name) {
        Some(status) => Ok(status.resource_claim_name.as_deref()),
        None => Err(ClaimError::NotCreated { namespace: namespace(), pod: name() }),
    }
}

/// Whether the claim was made for the pod: the pod is its controlling owner.
pub fn is_made_for(claim: &ResourceClaim, pod: &Pod) -> bool {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    claim.metadata.namespace == pod.metadata.namespace
        && owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == pod.metadata.uid.as_ref())
}

/// Whether the scheduler made the claim for the extended resources of [its pod](is_made_for).
pub fn is_extended_resource_claim(claim: &ResourceClaim) -> bool {
    let annotation = claim.metadata.annotations.as_ref().and_then(|all| all.get(EXTENDED_RESOURCE_CLAIM));
    annotation.is_some_and(|value| value == "true")
}

/// The devices that the claim has.
pub fn allocation(claim: &ResourceClaim) -> Option<&AllocationResult> {
    claim.status.as_ref()?.allocation.as_ref()
}

/// Those that may use the claim.
pub fn reserved_for(claim: &ResourceClaim) -> &[ResourceClaimConsumerReference] {
    claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default()
}

/// Whether the object with this uid is among those that may use the claim.
pub fn is_reserved_for(claim: &ResourceClaim, uid: &str) -> bool {
    reserved_for(claim).iter().any(|user| user.uid == uid)
}

/// A pod, as one of those that may use a claim.
pub fn pod_user(name: &str, uid: &str) -> ResourceClaimConsumerReference {
    ResourceClaimConsumerReference {
        api_group: None,
        resource: "pods".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(statuses: Value) -> Pod {
        let metadata = json!({ "name": "p", "namespace": "ns", "uid": "u" });
        serde_json::from_value(json!({ "metadata": metadata, "status": { "resourceClaimStatuses": statuses } }))
            .unwrap()
    }

    fn entry(source: Value) -> PodResourceClaim {
        let mut entry = json!({ "name": "gpu" });
        entry.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_claim_is_named_by_the_pod_or_by_its_status() {
        let (named, made) =
            (entry(json!({ "resourceClaimName": "c" })), entry(json!({ "resourceClaimTemplateName": "t" })));
        assert_eq!(claim_name(&pod(json!([])), &named), Ok(Some("c")));
        let told = pod(json!([{ "name": "gpu", "resourceClaimName": "p-gpu-x" }]));
        assert_eq!(claim_name(&told, &made), Ok(Some("p-gpu-x")));
        assert_eq!(claim_name(&pod(json!([{ "name": "gpu" }])), &made), Ok(None), "none is needed");
        let error = claim_name(&pod(json!([])), &made).unwrap_err();
        assert_eq!(error.to_string(), "pod \"ns/p\": ResourceClaim not created yet");
        let error = claim_name(&pod(json!([])), &entry(json!({}))).unwrap_err().to_string();
        assert_eq!(error, "pod \"ns/p\", spec.resourceClaim \"gpu\": none of the supported fields are set");
    }

    #[test]
    fn only_the_controlling_owner_counts() {
        let claim = |namespace: &str, uid: &str, controller: bool| -> ResourceClaim {
            let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": controller });
            let metadata = json!({ "name": "c", "namespace": namespace, "ownerReferences": [owner] });
            serde_json::from_value(json!({ "metadata": metadata, "spec": {} })).unwrap()
        };
        let pod = pod(json!([]));
        assert!(is_made_for(&claim("ns", "u", true), &pod));
        assert!(!is_made_for(&claim("ns", "u", false), &pod));
        assert!(!is_made_for(&claim("ns", "other", true), &pod));
        assert!(!is_made_for(&claim("other", "u", true), &pod));
    }
}
