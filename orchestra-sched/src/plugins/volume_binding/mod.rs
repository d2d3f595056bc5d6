mod args;
mod bound;
mod capacity;
mod pre_bind;

use std::{borrow::Cow, sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm},
    storage::v1::{CSIDriver, CSIStorageCapacity, StorageClass},
};
use orchestra_core::{
    ObjectKey,
    persistent_volume::{
        NO_PROVISIONER, Reach, SELECTED_NODE, Use, Wanted, class_of_claim, class_of_volume, is_annotated, is_bound,
        requested, uses, volume_name, waits_for_consumer,
    },
    scheduler::{
        ClusterEvent, EventKind, NodeInfo, ObjectKind, Objects, Placement, PodInfo, Rejection, Snapshot, VolumeChoice,
    },
};

pub use self::args::VolumeBindingArgs;
use self::capacity::{Capacity, is_told_by, limit};
use super::claims::{find_claim, is_made_for, uses_claim};
use crate::framework::{CycleState, Filter, Plugin, PreBind, PreFilter, PreFilterOutcome, Requeue, Reserve};

const OUT_OF_REACH: &str = "node(s) didn't match PersistentVolume's node affinity";
const NOTHING_TO_BIND: &str = "node(s) didn't find available persistent volumes to bind";
const NOT_ENOUGH: &str = "node(s) did not have enough free storage";
const VOLUME_GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// Lets a pod go only where it can reach the volumes of its claims, chooses volumes for claims that wait for their first consumer, and lets
/// others be provisioned only where the class allows and the driver, if it tells, has enough storage left.
#[derive(Clone, Copy, Debug)]
pub struct VolumeBinding {
    timeout: Duration,
}

impl VolumeBinding {
    /// The plugin with these arguments.
    ///
    /// # Errors
    /// What is wrong with them, in Kubernetes' words.
    pub fn new(args: VolumeBindingArgs) -> Result<Self, String> {
        Ok(Self { timeout: args.read()? })
    }
}

impl Default for VolumeBinding {
    fn default() -> Self {
        Self { timeout: Placement::VOLUME_TIMEOUT }
    }
}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_reserve(&self) -> Option<&dyn Reserve> {
        Some(self)
    }

    fn as_pre_bind(&self) -> Option<&dyn PreBind> {
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
            ObjectKind::of::<CSIDriver>(),
            ObjectKind::of::<CSIStorageCapacity>(),
        ]
    }
}

/// What the pod's claims come to.
struct Claims {
    /// What reaches the volumes of the claims that are bound; `None` for a volume that is gone.
    bound: Vec<Option<Reach>>,
    /// The claims that wait for a node, the smallest first.
    waiting: Vec<Waiting>,
}

struct Waiting {
    claim: Arc<PersistentVolumeClaim>,
    /// The volumes that it can have, the best first; none once a node was selected.
    candidates: Vec<Candidate>,
    /// Where its volume may be provisioned; `None` if nobody provisions volumes of its class.
    provisioned_at: Option<Vec<TopologySelectorTerm>>,
    capacity: Capacity,
}

struct Candidate {
    volume: Arc<PersistentVolume>,
    reach: Reach,
}

impl PreFilter for VolumeBinding {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let (objects, mut claims) = (snapshot.objects(), Claims { bound: Vec::new(), waiting: Vec::new() });
        let mut immediate = false;
        for used in uses(pod.pod()) {
            let claim = match usable(objects, pod, &used) {
                Ok(claim) => claim,
                Err(why) => return PreFilterOutcome::Reject(Rejection::new(why).unresolvable()),
            };
            if let Some(name) = volume_name(claim).filter(|_| is_bound(claim)) {
                let volume = objects.get::<PersistentVolume>(&ObjectKey::cluster(name));
                claims.bound.push(volume.map(|volume| Reach::of(volume)));
                continue;
            }
            if claims.waiting.iter().any(|waiting| Arc::ptr_eq(&waiting.claim, claim)) {
                continue;
            }
            match Waiting::of(claim, objects) {
                Some(waiting) => claims.waiting.push(waiting),
                // It should have a volume, or one that it names, by the time that pods come.
                None => immediate = true,
            }
        }
        if immediate {
            let why = "pod has unbound immediate PersistentVolumeClaims";
            return PreFilterOutcome::Reject(Rejection::new(why).unresolvable());
        }
        if claims.bound.is_empty() && claims.waiting.is_empty() {
            return PreFilterOutcome::Skip;
        }
        claims.waiting.sort_by_key(|waiting| requested(&waiting.claim));
        state.write(claims);
        PreFilterOutcome::Continue
    }
}

/// The claim, or why a pod cannot use it, in the words of the API server and of kube-scheduler.
fn usable<'a>(objects: &'a Objects, pod: &PodInfo, used: &Use<'_>) -> Result<&'a Arc<PersistentVolumeClaim>, String> {
    let name = &used.claim;
    let claim = find_claim(name, pod, objects).map_err(|not_found| match used.is_ephemeral {
        true => format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"),
        false => not_found,
    })?;
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
        let volume = volume_name(claim).unwrap_or_default();
        return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    if used.is_ephemeral && !is_made_for(claim, pod) {
        let (namespace, pod) = (pod.key().namespace().unwrap_or_default(), pod.key().name());
        return Err(format!("PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)"));
    }
    Ok(claim)
}

impl Waiting {
    /// `None` if the claim waits for no node, but for the controller that binds claims.
    fn of(claim: &Arc<PersistentVolumeClaim>, objects: &Objects) -> Option<Self> {
        let class = objects.get::<StorageClass>(&ObjectKey::cluster(class_of_claim(claim)?))?;
        if !waits_for_consumer(class) || volume_name(claim).is_some() {
            return None;
        }
        let name = class.metadata.name.as_deref().unwrap_or_default();
        // The node that was chosen before, for which the volume is being provisioned.
        let is_selected = is_annotated(&claim.metadata, SELECTED_NODE);
        let volumes = objects.iter::<PersistentVolume>();
        let of_class = volumes.filter(|volume| !is_selected && class_of_volume(volume) == name);
        let candidates = Wanted::by(claim).candidates(of_class).into_iter();
        let candidates = candidates.map(|volume| Candidate { volume: volume.clone(), reach: Reach::of(volume) });
        let is_provisioned = !matches!(class.provisioner.as_str(), "" | NO_PROVISIONER);
        let provisioned_at = is_provisioned.then(|| class.allowed_topologies.clone().unwrap_or_default());
        let capacity = Capacity::of(class, requested(claim), objects);
        Some(Self { claim: Arc::clone(claim), candidates: candidates.collect(), provisioned_at, capacity })
    }

    /// The best volume that the node reaches and no other claim has taken.
    fn best_on(&self, node: &NodeInfo, taken: &[&Arc<PersistentVolume>]) -> Option<&Arc<PersistentVolume>> {
        let is_free = |volume| !taken.iter().any(|other| Arc::ptr_eq(other, volume));
        let mut candidates = self.candidates.iter();
        let best = candidates.find(|one| is_free(&one.volume) && one.reach.includes(node.name(), node.labels()));
        best.map(|candidate| &candidate.volume)
    }

    fn can_be_provisioned_at(&self, node: &NodeInfo) -> bool {
        let selected = self.claim.metadata.annotations.as_ref().and_then(|all| all.get(SELECTED_NODE));
        selected.is_none_or(|selected| **selected == **node.name())
            && self
                .provisioned_at
                .as_ref()
                .is_some_and(|terms| terms.is_empty() || terms.iter().any(|term| matches(term, node)))
    }
}

fn matches(term: &TopologySelectorTerm, node: &NodeInfo) -> bool {
    let mut wanted = term.match_label_expressions.iter().flatten();
    wanted.all(|wanted| node.labels().get(&wanted.key).is_some_and(|value| wanted.values.contains(value)))
}

impl Claims {
    /// Tells `each` the volume for each waiting claim if the pod runs on `node`, or that one is to be provisioned; why there is none for
    /// one of them ends it.
    fn lacking<'a>(
        &'a self,
        node: &NodeInfo,
        mut each: impl FnMut(&'a Waiting, Option<&'a Arc<PersistentVolume>>),
    ) -> Option<&'static str> {
        let mut taken = Vec::new();
        self.waiting.iter().enumerate().find_map(|(index, waiting)| {
            let best = waiting.best_on(node, &taken);
            // For the last claim nothing is kept, so that one claim, as most pods have, costs no memory.
            taken.extend(best.filter(|_| index + 1 < self.waiting.len()));
            each(waiting, best);
            match best {
                Some(_) => None,
                None if !waiting.can_be_provisioned_at(node) => Some(NOTHING_TO_BIND),
                None => (!waiting.capacity.suffices_on(node)).then_some(NOT_ENOUGH),
            }
        })
    }
}

impl Filter for VolumeBinding {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(claims) = state.read::<Claims>() else { return Ok(()) };
        let mut reasons: Vec<Cow<'static, str>> = Vec::new();
        if claims.bound.iter().flatten().any(|reach| !reach.includes(node.name(), node.labels())) {
            reasons.push(OUT_OF_REACH.into());
        }
        reasons.extend(claims.lacking(node, |_, _| {}).map(Cow::from));
        if claims.bound.iter().any(Option::is_none) {
            reasons.push(VOLUME_GONE.into());
        }
        if reasons.is_empty() { Ok(()) } else { Err(Rejection::with_reasons(reasons).unresolvable()) }
    }
}

impl Reserve for VolumeBinding {
    fn reserve(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo, placement: &mut Placement) {
        let Some(claims) = state.read::<Claims>() else { return };
        placement.volume_timeout = self.timeout;
        claims.lacking(node, |waiting, volume| {
            let claim = ObjectKey::of(&*waiting.claim);
            placement.volumes.push(match volume.and_then(|volume| volume.metadata.name.clone()) {
                Some(volume) => VolumeChoice::Bind { claim, volume },
                None => VolumeChoice::Provision { claim },
            });
        });
    }
}

impl Requeue for VolumeBinding {
    fn concerns(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::NodeAdded | EventKind::NodeUpdated => true,
            EventKind::ObjectChanged(kind) => self.uses().contains(&kind),
            _ => false,
        }
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        if let ClusterEvent::NodeUpdated { old, new } = event {
            return old.labels() != new.labels();
        }
        let is_used =
            |namespace: &Option<String>, name: &Option<String>| uses_claim(pod, namespace.as_deref(), name.as_deref());
        if let Some(change) = event.change_of::<PersistentVolumeClaim>() {
            return change.new().is_some_and(|claim| is_used(&claim.metadata.namespace, &claim.metadata.name));
        }
        if let Some(change) = event.change_of::<PersistentVolume>() {
            let owner = |volume: &PersistentVolume| volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
            // Kept for a claim, it helps only who uses that.
            return change
                .new()
                .is_some_and(|volume| owner(volume).is_none_or(|owner| is_used(&owner.namespace, &owner.name)));
        }
        if let Some(change) = event.change_of::<StorageClass>() {
            return change.new().is_some_and(|class| change.old().is_none_or(|old| decide_differently(old, class)));
        }
        if let Some(change) = event.change_of::<CSIDriver>() {
            let tells = |driver: Option<&Arc<CSIDriver>>| driver.is_some_and(|driver| is_told_by(driver));
            return tells(change.old()) && !tells(change.new());
        }
        if let Some(change) = event.change_of::<CSIStorageCapacity>() {
            let most = |capacity: Option<&Arc<CSIStorageCapacity>>| capacity.and_then(|capacity| limit(capacity));
            return change.new().is_some() && most(change.new()) > most(change.old());
        }
        true
    }
}

fn decide_differently(old: &StorageClass, new: &StorageClass) -> bool {
    old.provisioner != new.provisioner
        || old.volume_binding_mode != new.volume_binding_mode
        || old.allowed_topologies != new.allowed_topologies
}

#[cfg(test)]
mod tests;
