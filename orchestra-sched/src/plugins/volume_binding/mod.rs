use std::{borrow::Cow, sync::Arc};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use orchestra_core::{
    ObjectKey,
    persistent_volume::{
        NO_PROVISIONER, SELECTED_NODE, Use, Wanted, class_of_claim, class_of_volume, is_bound, reaches, requested,
        uses, volume_name, waits_for_consumer,
    },
    scheduler::{ClusterEvent, EventKind, NodeInfo, Placement, PodInfo, Rejection, Snapshot, Storage, VolumeChoice},
};

use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue, Reserve};

const OUT_OF_REACH: &str = "node(s) didn't match PersistentVolume's node affinity";
const NOTHING_TO_BIND: &str = "node(s) didn't find available persistent volumes to bind";
const VOLUME_GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// Lets a pod go only where it can reach the volumes of its claims, and chooses volumes for claims that wait for their first consumer.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolumeBinding;

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

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }

    fn uses_storage(&self) -> bool {
        true
    }
}

/// What the pod's claims come to.
struct Claims {
    /// The volumes of the claims that are bound; `None` for one that is gone.
    bound: Vec<Option<Arc<PersistentVolume>>>,
    /// The claims that wait for a node, the smallest first.
    waiting: Vec<Waiting>,
}

struct Waiting {
    claim: Arc<PersistentVolumeClaim>,
    /// The volumes of its class.
    volumes: Vec<Arc<PersistentVolume>>,
    /// Where its volume may be provisioned; `None` if nobody provisions volumes of its class.
    provisioned_at: Option<Vec<TopologySelectorTerm>>,
}

impl PreFilter for VolumeBinding {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let (storage, mut claims) = (snapshot.storage(), Claims { bound: Vec::new(), waiting: Vec::new() });
        let mut immediate = false;
        for used in uses(pod.pod()) {
            let claim = match usable(storage, pod, &used) {
                Ok(claim) => claim,
                Err(why) => return PreFilterOutcome::Reject(Rejection::new(why).unresolvable()),
            };
            if let Some(name) = volume_name(claim).filter(|_| is_bound(claim)) {
                claims.bound.push(storage.volume(name).cloned());
                continue;
            }
            match Waiting::of(claim, storage) {
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
fn usable<'a>(storage: &'a Storage, pod: &PodInfo, used: &Use<'_>) -> Result<&'a Arc<PersistentVolumeClaim>, String> {
    let name = &used.claim;
    let Some(claim) = storage.claim(&ObjectKey::new(pod.key().namespace(), name)) else {
        return Err(if used.is_ephemeral {
            format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}")
        } else {
            format!("persistentvolumeclaim {name:?} not found")
        });
    };
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
        let volume = volume_name(claim).unwrap_or_default();
        return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    let owners = claim.metadata.owner_references.as_deref().unwrap_or_default();
    let is_own = owners.iter().any(|owner| Some(&owner.uid) == pod.pod().metadata.uid.as_ref());
    if used.is_ephemeral && !is_own {
        let (namespace, pod) = (pod.key().namespace().unwrap_or_default(), pod.key().name());
        return Err(format!("PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)"));
    }
    Ok(claim)
}

impl Waiting {
    /// `None` if the claim waits for no node, but for the controller that binds claims.
    fn of(claim: &Arc<PersistentVolumeClaim>, storage: &Storage) -> Option<Self> {
        let class = storage.class(class_of_claim(claim)?)?;
        if !waits_for_consumer(class) || volume_name(claim).is_some() {
            return None;
        }
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let volumes = storage.volumes().filter(|volume| class_of_volume(volume) == name).cloned().collect();
        let is_provisioned = !matches!(class.provisioner.as_str(), "" | NO_PROVISIONER);
        let provisioned_at = is_provisioned.then(|| class.allowed_topologies.clone().unwrap_or_default());
        Some(Self { claim: Arc::clone(claim), volumes, provisioned_at })
    }

    /// The node that was chosen before, for which the volume is being provisioned.
    fn selected_node(&self) -> Option<&String> {
        self.claim.metadata.annotations.as_ref()?.get(SELECTED_NODE)
    }

    fn can_be_provisioned_at(&self, node: &NodeInfo) -> bool {
        self.provisioned_at
            .as_ref()
            .is_some_and(|terms| terms.is_empty() || terms.iter().any(|term| matches(term, node)))
    }
}

fn matches(term: &TopologySelectorTerm, node: &NodeInfo) -> bool {
    let mut wanted = term.match_label_expressions.iter().flatten();
    wanted.all(|wanted| node.labels().get(&wanted.key).is_some_and(|value| wanted.values.contains(value)))
}

impl Claims {
    /// What is to be done about the waiting claims if the pod runs on `node`; `None` if it cannot be.
    fn choices(&self, node: &NodeInfo) -> Option<Vec<VolumeChoice>> {
        let mut taken: Vec<&str> = Vec::new();
        let mut choices = Vec::with_capacity(self.waiting.len());
        for waiting in &self.waiting {
            let claim = ObjectKey::of(&*waiting.claim);
            let selected = waiting.selected_node();
            if selected.is_some_and(|selected| **selected != **node.name()) {
                return None;
            }
            let place = (&**node.name(), node.labels());
            let is_taken =
                |volume: &PersistentVolume| taken.iter().any(|name| volume.metadata.name.as_deref() == Some(name));
            let best = Wanted::by(&waiting.claim).best_on(waiting.volumes.iter(), place, is_taken);
            match best.and_then(|volume| volume.metadata.name.as_deref()).filter(|_| selected.is_none()) {
                Some(volume) => {
                    taken.push(volume);
                    choices.push(VolumeChoice::Bind { claim, volume: volume.to_owned() });
                }
                None if waiting.can_be_provisioned_at(node) => choices.push(VolumeChoice::Provision { claim }),
                None => return None,
            }
        }
        Some(choices)
    }
}

impl Filter for VolumeBinding {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(claims) = state.read::<Claims>() else { return Ok(()) };
        let mut reasons: Vec<Cow<'static, str>> = Vec::new();
        if claims.bound.iter().flatten().any(|volume| !reaches(volume, node.name(), node.labels())) {
            reasons.push(OUT_OF_REACH.into());
        }
        if !claims.waiting.is_empty() && claims.choices(node).is_none() {
            reasons.push(NOTHING_TO_BIND.into());
        }
        if claims.bound.iter().any(Option::is_none) {
            reasons.push(VOLUME_GONE.into());
        }
        if reasons.is_empty() { Ok(()) } else { Err(Rejection::with_reasons(reasons).unresolvable()) }
    }
}

impl Reserve for VolumeBinding {
    fn reserve(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo, placement: &mut Placement) {
        let choices = state.read::<Claims>().and_then(|claims| claims.choices(node));
        placement.volumes.extend(choices.into_iter().flatten());
    }
}

impl Requeue for VolumeBinding {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(
            kind,
            EventKind::NodeAdded
                | EventKind::NodeUpdated
                | EventKind::ClaimChanged
                | EventKind::VolumeChanged
                | EventKind::StorageClassChanged
        )
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        match event {
            ClusterEvent::NodeUpdated { old, new } => old.labels() != new.labels(),
            ClusterEvent::ClaimChanged(claim) => {
                let key = ObjectKey::of(&**claim);
                key.namespace() == pod.key().namespace() && uses(pod.pod()).any(|used| used.claim == key.name())
            }
            // Kept for a claim, it helps only who uses that.
            ClusterEvent::VolumeChanged(volume) => {
                let owner = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
                owner.is_none_or(|owner| {
                    owner.namespace.as_deref() == pod.key().namespace()
                        && uses(pod.pod()).any(|used| Some(&used.claim) == owner.name.as_ref())
                })
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
