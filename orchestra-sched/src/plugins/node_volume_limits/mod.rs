mod disk;
mod in_tree;
mod limits;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::{CSINode, StorageClass, VolumeAttachment},
};
use orchestra_core::{
    informer::Change,
    persistent_volume::uses,
    scheduler::{ClusterEvent, EventKind, NodeInfo, ObjectKind, Objects, PodInfo, Rejection, Snapshot},
};

use self::{
    disk::{Attached, Disk},
    limits::{ByNode, Kept, OfNode, limits},
};
use super::claims::{uses_claim, volumes};
use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue};

const TOO_MANY: &str = "node(s) exceed max volume count";

/// Keeps a pod off nodes that cannot have so many volumes of a driver attached (`CSINode.spec.drivers[].allocatable.count`,
/// [documentation](https://kubernetes.io/docs/concepts/storage/storage-limits/)).
///
/// A volume counts once for a node, however many pods use it there. Volumes of clouds from before CSI count as those of the drivers that
/// took them over. What is still attached counts although no pod uses it. A node without `CSINode` has no limit.
#[derive(Debug, Default)]
pub struct NodeVolumeLimits {
    kept: Kept,
}

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
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
        vec![
            ObjectKind::of::<PersistentVolumeClaim>(),
            ObjectKind::of::<PersistentVolume>(),
            ObjectKind::of::<StorageClass>(),
            ObjectKind::of::<CSINode>(),
            ObjectKind::of::<VolumeAttachment>(),
        ]
    }
}

/// What the pod brings.
struct Wanted {
    disks: BTreeSet<Disk>,
    known: Arc<ByNode>,
    /// To tell what other pods' volumes are.
    objects: Objects,
}

/// The pod's claim is not there.
struct Missing(String);

impl PreFilter for NodeVolumeLimits {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        if pod.attachable_volumes() == 0 {
            return PreFilterOutcome::Skip;
        }
        let (objects, mut disks) = (snapshot.objects(), BTreeSet::new());
        for attached in Disk::of_pod(pod, objects) {
            match attached {
                Attached::Nothing => {}
                Attached::As(disk) => drop(disks.insert(disk)),
                Attached::NoClaim(name) => {
                    let namespace = pod.key().namespace().unwrap_or_default();
                    let why = format!("looking up PVC {namespace}/{name}: persistentvolumeclaim {name:?} not found");
                    // Said for each node, as Kubernetes does: what other plugins say of the claim comes before.
                    state.write(Missing(why));
                    return PreFilterOutcome::Continue;
                }
            }
        }
        if disks.is_empty() {
            return PreFilterOutcome::Skip;
        }
        state.write(Wanted { disks, known: self.kept.of(objects), objects: objects.clone() });
        PreFilterOutcome::Continue
    }
}

impl Wanted {
    fn number(&self, driver: &str) -> usize {
        self.disks.iter().filter(|disk| disk.driver == driver).count()
    }

    /// Whether `count` volumes of each driver, and those that the pod brings of it, are few enough for the node.
    fn fit(&self, known: &OfNode, brings: impl Fn(&str) -> usize, has: impl Fn(&str) -> usize) -> bool {
        self.disks.iter().all(|Disk { driver, .. }| {
            let number = i64::try_from(brings(driver).saturating_add(has(driver))).unwrap_or(i64::MAX);
            brings(driver) == 0 || known.limit(driver).is_none_or(|limit| number <= limit)
        })
    }

    fn fit_on(&self, node: &NodeInfo, known: &OfNode) -> bool {
        // Mostly there are far fewer volumes than may be: then it need not be known which they are.
        let most = node.attachable_volumes() + known.attachments.len();
        if self.fit(known, |driver| self.number(driver), |_| most) {
            return true;
        }
        // Near the limit they are told apart, which costs time and memory.
        let of_pods: BTreeSet<Disk> = node.pods_with_volumes().flat_map(|pod| disks(pod, &self.objects)).collect();
        let attachments = known.attachments.iter().filter_map(|one| Disk::of_attachment(one, &self.objects));
        let unused: BTreeSet<Disk> = attachments.filter(|disk| !of_pods.contains(disk)).collect();
        let of = |disks: &BTreeSet<Disk>, driver: &str| disks.iter().filter(|disk| disk.driver == driver).count();
        let new: BTreeSet<Disk> = self.disks.difference(&of_pods).cloned().collect();
        // As in Kubernetes, one that the pod brings and that is attached still counts for both.
        self.fit(known, |driver| of(&new, driver), |driver| of(&of_pods, driver) + of(&unused, driver))
    }
}

fn disks<'a>(pod: &'a PodInfo, objects: &'a Objects) -> impl Iterator<Item = Disk> + 'a {
    Disk::of_pod(pod, objects).filter_map(|attached| match attached {
        Attached::As(disk) => Some(disk),
        Attached::Nothing | Attached::NoClaim(_) => None,
    })
}

impl Filter for NodeVolumeLimits {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if let Some(Missing(why)) = state.read() {
            return Err(Rejection::new(why.clone()).unresolvable());
        }
        let Some(wanted) = state.read::<Wanted>() else { return Ok(()) };
        match wanted.known.get(node.name()) {
            Some(known) if !wanted.fit_on(node, known) => Err(Rejection::new(TOO_MANY)),
            _ => Ok(()),
        }
    }
}

impl Requeue for NodeVolumeLimits {
    fn concerns(&self, kind: EventKind) -> bool {
        // A node that has just come has no limits yet.
        matches!(kind, EventKind::NodeAdded | EventKind::PodReleased)
            || kind == EventKind::change_of::<CSINode>()
            || kind == EventKind::change_of::<PersistentVolumeClaim>()
            || kind == EventKind::change_of::<VolumeAttachment>()
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        if let ClusterEvent::PodReleased(gone) = event {
            return gone.attachable_volumes() > 0;
        }
        if let Some(change) = event.change_of::<CSINode>() {
            return match change {
                Change::Added(_) | Change::Deleted(_) => true,
                Change::Updated { old, new } => has_grown(old, new),
            };
        }
        if let Some(change) = event.change_of::<PersistentVolumeClaim>() {
            let is_used = |claim: &PersistentVolumeClaim| {
                uses_claim(pod, claim.metadata.namespace.as_deref(), claim.metadata.name.as_deref())
            };
            return change.old().is_none() && change.new().is_some_and(|claim| is_used(claim));
        }
        if let Some(change) = event.change_of::<VolumeAttachment>() {
            let Change::Deleted(attachment) = change else { return false };
            let own = volumes(pod).iter().filter_map(|volume| in_tree::of_pod_volume(volume));
            return uses(pod.pod()).next().is_some()
                || own.into_iter().any(|(driver, _)| driver == attachment.spec.attacher);
        }
        true
    }
}

/// Whether more volumes of any driver may be there than before.
fn has_grown(old: &CSINode, new: &CSINode) -> bool {
    let limit = |node, driver: &str| limits(node).find(|(name, _)| *name == driver).map(|(_, limit)| limit);
    limits(new).any(|(driver, limit_now)| limit_now > limit(old, driver).unwrap_or(0))
        || limits(old).any(|(driver, _)| limit(new, driver).is_none())
}
