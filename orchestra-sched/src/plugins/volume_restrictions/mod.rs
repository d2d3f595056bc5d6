mod disk;
#[cfg(test)]
mod tests;
mod used_claims;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use orchestra_core::{
    ObjectKey,
    scheduler::{ClusterEvent, EventKind, NodeInfo, ObjectKind, Objects, PodInfo, Rejection, Snapshot},
};

use self::{
    disk::{conflict, is_exclusive},
    used_claims::UsedClaims,
};
use super::claims::{find_claim, is_claim_of, named_claims, volumes};
use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue};

const DISK_CONFLICT: &str = "node(s) had no available disk";
const CLAIM_IN_USE: &str =
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";

/// Keeps a pod off nodes where another one has mounted the same disk, and back while another one uses a claim that only one pod may use
/// (`ReadWriteOncePod`, KEP-2485).
#[derive(Debug, Default)]
pub struct VolumeRestrictions {
    used: UsedClaims,
}

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }

    fn uses(&self) -> Vec<ObjectKind> {
        vec![ObjectKind::of::<PersistentVolumeClaim>()]
    }
}

/// What the pod wants for itself alone.
struct Exclusive {
    /// Claims that one pod may use.
    claims: BTreeSet<String>,
    /// How often other pods use them.
    in_use: usize,
}

impl Exclusive {
    fn uses_by(&self, pod: &PodInfo, other: &PodInfo) -> usize {
        let names = named_claims(other).filter(|name| self.claims.contains(*name));
        if other.key().namespace() == pod.key().namespace() { names.count() } else { 0 }
    }
}

/// The pod's claims that one pod may use.
fn claims_of_one(pod: &PodInfo, objects: &Objects) -> Result<BTreeSet<String>, String> {
    let mut exclusive = BTreeSet::new();
    for name in named_claims(pod) {
        let claim = find_claim(name, pod, objects)?;
        let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
        if modes.iter().any(|mode| mode == "ReadWriteOncePod") {
            exclusive.insert(name.to_owned());
        }
    }
    Ok(exclusive)
}

impl PreFilter for VolumeRestrictions {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let claims = match claims_of_one(pod, snapshot.objects()) {
            Ok(claims) => claims,
            Err(why) => return PreFilterOutcome::Reject(Rejection::new(why).unresolvable()),
        };
        if claims.is_empty() && !volumes(pod).iter().any(is_exclusive) {
            return PreFilterOutcome::Skip;
        }
        if !claims.is_empty() {
            let keys = claims.iter().map(|name| ObjectKey::new(pod.key().namespace(), name));
            let in_use = self.used.count(keys, snapshot);
            state.write(Exclusive { claims, in_use });
        }
        PreFilterOutcome::Continue
    }

    fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, _: &NodeInfo) {
        if let Some(exclusive) = state.read_mut::<Exclusive>() {
            exclusive.in_use += exclusive.uses_by(pod, added);
        }
    }

    fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, _: &NodeInfo) {
        if let Some(exclusive) = state.read_mut::<Exclusive>() {
            exclusive.in_use = exclusive.in_use.saturating_sub(exclusive.uses_by(pod, removed));
        }
    }
}

/// Whether both pods cannot mount their disks on one node.
fn have_conflict(pod: &PodInfo, other: &PodInfo) -> bool {
    let exclusive = volumes(pod).iter().filter(|volume| is_exclusive(volume));
    exclusive.into_iter().any(|volume| volumes(other).iter().any(|mounted| conflict(volume, mounted)))
}

impl Filter for VolumeRestrictions {
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if volumes(pod).iter().any(is_exclusive) && node.pods().iter().any(|other| have_conflict(pod, other)) {
            return Err(Rejection::new(DISK_CONFLICT));
        }
        if state.read::<Exclusive>().is_some_and(|exclusive| exclusive.in_use > 0) {
            return Err(Rejection::new(CLAIM_IN_USE));
        }
        Ok(())
    }
}

impl Requeue for VolumeRestrictions {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(kind, EventKind::NodeAdded | EventKind::PodReleased)
            || kind == EventKind::change_of::<PersistentVolumeClaim>()
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        if let ClusterEvent::PodReleased(gone) = event {
            // Disks are the same in all namespaces, claims are not.
            let shares_claim = || named_claims(gone).any(|name| named_claims(pod).any(|wanted| wanted == name));
            return have_conflict(pod, gone) || (gone.key().namespace() == pod.key().namespace() && shares_claim());
        }
        if let Some(change) = event.change_of::<PersistentVolumeClaim>() {
            return change.old().is_none() && change.new().is_some_and(|claim| is_claim_of(claim, pod));
        }
        true
    }
}
