use std::{fmt, sync::Arc};

use imbl::OrdMap;
use k8s_openapi::api::{
    core::v1::ContainerExtendedResourceRequest,
    resource::v1::{AllocationResult, ResourceClaim},
};

use crate::{ObjectKey, informer::Change};

/// What is to be written of a claim of devices before its pod is bound.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimAllocation {
    /// The claim.
    pub claim: ObjectKey,
    /// Its uid: another claim of the same name is not meant.
    pub uid: String,
    /// Which devices it gets; `None` if it has them already, and the pod is only to be noted as one that uses them.
    pub allocation: Option<AllocationResult>,
    /// The claim itself, if it is to be made first. Until then it has a key that no claim has, and no uid.
    pub make: Option<Box<ExtendedClaim>>,
}

/// The claim of a pod for the extended resources that devices provide (KEP-5004).
#[derive(Clone, Debug, PartialEq)]
pub struct ExtendedClaim {
    /// The claim, as it is to be made but for its name and uid.
    pub claim: ResourceClaim,
    /// Which container uses which request, for the pod's status.
    pub requests: Vec<ContainerExtendedResourceRequest>,
}

/// The allocations that are decided and that the API server has not told of yet: their devices are taken.
///
/// A clone costs nothing and does not change any more, as that of the [`Snapshot`](super::Snapshot) that it is part of.
///
/// ```
/// use k8s_openapi::api::resource::v1::AllocationResult;
/// use orchestra_core::{ObjectKey, scheduler::{ClaimAllocation, PendingAllocations}};
/// let claim = ObjectKey::namespaced("default", "gpu");
/// let mut pending = PendingAllocations::default();
/// pending.insert(ClaimAllocation { claim: claim.clone(), uid: "u".to_owned(), allocation: Some(AllocationResult::default()), make: None });
/// assert!(pending.contains(&claim));
/// pending.withdraw(&claim);
/// assert_eq!(pending.iter().count(), 0);
/// ```
#[derive(Clone, Default)]
pub struct PendingAllocations {
    by_claim: OrdMap<ObjectKey, Pending>,
}

#[derive(Clone)]
struct Pending {
    uid: Arc<str>,
    allocation: Arc<AllocationResult>,
    /// The version of the claim with which it was written.
    written: Option<u64>,
}

impl PendingAllocations {
    /// Whether there is one for the claim.
    pub fn contains(&self, claim: &ObjectKey) -> bool {
        self.by_claim.contains_key(claim)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &AllocationResult> {
        self.by_claim.values().map(|pending| &*pending.allocation)
    }

    /// Adds one; one without an allocation takes nothing.
    pub fn insert(&mut self, decided: ClaimAllocation) {
        if let Some(allocation) = decided.allocation {
            let pending = Pending { uid: decided.uid.into(), allocation: Arc::new(allocation), written: None };
            self.by_claim.insert(decided.claim, pending);
        }
    }

    /// The claim that was to be made is, and is this one.
    pub fn made(&mut self, decided: &ObjectKey, claim: &ResourceClaim) {
        if let Some(pending) = self.by_claim.remove(decided) {
            let uid = claim.metadata.uid.clone().unwrap_or_default().into();
            self.by_claim.insert(ObjectKey::of(claim), Pending { uid, ..pending });
        }
    }

    /// Notes that it is written, and will be told of: `version` is the claim's since then.
    pub fn written(&mut self, claim: &ObjectKey, version: &str) {
        if let Some(pending) = self.by_claim.get_mut(claim) {
            // Versions are numbers that grow (KEP-5504); of one that is none the next that is told is taken for newer.
            pending.written = Some(version.parse().unwrap_or(0));
        }
    }

    /// Takes one back that was not written. `false` if there was none.
    pub fn withdraw(&mut self, claim: &ObjectKey) -> bool {
        let is_written = self.by_claim.get(claim).is_some_and(|pending| pending.written.is_some());
        !is_written && self.by_claim.remove(claim).is_some()
    }

    /// The API server tells of a claim: one that is allocated, another or gone needs nothing kept. As long as its allocation is not written,
    /// or what is told is older, it stays.
    pub fn told(&mut self, change: &Change<ResourceClaim>) {
        let key = ObjectKey::of(&**change.object());
        let Some(pending) = self.by_claim.get(&key) else { return };
        let stays = change.new().is_some_and(|claim| {
            let version = claim.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
            claim.metadata.uid.as_deref() == Some(&*pending.uid)
                && claim.status.as_ref().is_none_or(|status| status.allocation.is_none())
                && pending.written.is_none_or(|written| version.is_some_and(|version: u64| version < written))
        });
        if !stays {
            self.by_claim.remove(&key);
        }
    }
}

impl fmt::Debug for PendingAllocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_claim.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(uid: &str, version: &str, allocated: bool) -> Change<ResourceClaim> {
        let metadata = json!({ "name": "c", "namespace": "ns", "uid": uid, "resourceVersion": version });
        let status = if allocated { json!({ "allocation": {} }) } else { json!({}) };
        let claim = json!({ "metadata": metadata, "spec": {}, "status": status });
        Change::Added(Arc::new(serde_json::from_value(claim).unwrap()))
    }

    fn key() -> ObjectKey {
        ObjectKey::namespaced("ns", "c")
    }

    fn pending() -> PendingAllocations {
        let mut pending = PendingAllocations::default();
        let allocation = Some(AllocationResult::default());
        pending.insert(ClaimAllocation { claim: key(), uid: "u".to_owned(), allocation, make: None });
        pending
    }

    #[test]
    fn devices_stay_taken_until_the_allocation_is_told_of() {
        let mut pending = pending();
        // The finalizer, which is written first.
        pending.told(&told("u", "5", false));
        assert!(pending.contains(&key()));
        pending.written(&key(), "6");
        assert!(!pending.withdraw(&key()), "it is written");
        pending.told(&told("u", "5", false));
        assert!(pending.contains(&key()), "that is older");
        pending.told(&told("u", "6", true));
        assert!(!pending.contains(&key()));
    }

    #[test]
    fn a_claim_that_is_another_or_was_given_back_meanwhile_keeps_nothing() {
        for change in [told("v", "5", false), told("u", "5", true)] {
            let mut pending = pending();
            pending.told(&change);
            assert!(!pending.contains(&key()));
        }
        let mut given_back = pending();
        given_back.written(&key(), "6");
        given_back.told(&told("u", "7", false));
        assert!(!given_back.contains(&key()));
        let mut gone = pending();
        let Change::Added(claim) = told("u", "5", false) else { unreachable!() };
        gone.told(&Change::Deleted(claim));
        assert!(!gone.contains(&key()));
    }

    #[test]
    fn a_claim_that_is_made_keeps_what_was_decided_about_it() {
        let unmade = ObjectKey::namespaced("ns", "<unmade>");
        let mut pending = PendingAllocations::default();
        let allocation = Some(AllocationResult::default());
        pending.insert(ClaimAllocation { claim: unmade.clone(), uid: String::new(), allocation, make: None });
        let Change::Added(claim) = told("u", "5", false) else { unreachable!() };
        pending.made(&unmade, &claim);
        assert!(!pending.contains(&unmade) && pending.contains(&key()));
        pending.told(&told("u", "5", false));
        assert_eq!(pending.iter().count(), 1, "it is not allocated yet");
        pending.told(&told("u", "6", true));
        assert_eq!(pending.iter().count(), 0);
    }

    #[test]
    fn what_was_not_written_can_be_taken_back() {
        let mut pending = pending();
        assert!(pending.withdraw(&key()));
        assert!(!pending.withdraw(&key()));
    }
}
