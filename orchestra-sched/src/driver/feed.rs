//! What informers tell, brought into queue and cache.

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use kube::Resource;
use orchestra_core::{
    ObjectKey,
    informer::{Change, Informer, Subscription},
    scheduler::{ClusterEvent, NodeInfo, PodInfo},
};
use tokio::time::Instant;

use super::{
    bells::Cause,
    state::{SharedState, State},
    volumes::StorageInformers,
};

/// Feeds `state` until the subscriptions are dropped.
pub(super) fn subscribe(nodes: &Informer<Node>, pods: &Informer<Pod>, state: &SharedState) -> [Subscription; 2] {
    let (of_nodes, of_pods) = (state.clone(), state.clone());
    [
        nodes.subscribe(move |change| of_nodes.change(|state, now| state.node(change, now))),
        pods.subscribe(move |change| {
            let deleted = matches!(change, Change::Deleted(_));
            let pod = Arc::new(PodInfo::new(change.object().clone()));
            of_pods.change(|state, now| {
                state.bells.ring(|| Cause::Pod(pod.key().clone()));
                if deleted { state.gone(&pod, now) } else { state.pod(pod, now) }
            });
        }),
    ]
}

/// The same, of claims, volumes and storage classes.
pub(super) fn subscribe_to_storage(storage: &StorageInformers, state: &SharedState) -> [Subscription; 3] {
    let (of_claims, of_volumes, of_classes) = (state.clone(), state.clone(), state.clone());
    [
        storage.claims.subscribe(move |change| of_claims.change(|state, now| state.claim(change, now))),
        storage.volumes.subscribe(move |change| of_volumes.change(|state, now| state.volume(change, now))),
        storage.classes.subscribe(move |change| of_classes.change(|state, now| state.class(change, now))),
    ]
}

impl State {
    fn claim(&mut self, change: &Change<PersistentVolumeClaim>, now: Instant) {
        match change.new() {
            Some(claim) => {
                self.cache.set_claim(claim.clone());
                self.tell(ClusterEvent::ClaimChanged(claim.clone()), now);
            }
            None => {
                let key = ObjectKey::of(&**change.object());
                self.cache.remove_claim(&key);
                self.bells.ring(|| Cause::Claim(key));
            }
        }
    }

    fn volume(&mut self, change: &Change<PersistentVolume>, now: Instant) {
        match change.new() {
            Some(volume) => {
                self.cache.set_volume(volume.clone());
                self.tell(ClusterEvent::VolumeChanged(volume.clone()), now);
            }
            None => {
                let name = name(&**change.object());
                self.cache.remove_volume(&name);
                self.bells.ring(|| Cause::Volume(name));
            }
        }
    }

    /// Tells those whom it may concern that a claim or volume is not as it was.
    pub(super) fn tell(&mut self, event: ClusterEvent, now: Instant) {
        match &event {
            ClusterEvent::ClaimChanged(claim) => self.bells.ring(|| Cause::Claim(ObjectKey::of(&**claim))),
            ClusterEvent::VolumeChanged(volume) => self.bells.ring(|| Cause::Volume(name(&**volume))),
            _ => {}
        }
        self.queue.notify(event, now);
    }

    fn class(&mut self, change: &Change<StorageClass>, now: Instant) {
        let Some(class) = change.new() else {
            return self.cache.remove_class(&name(&**change.object()));
        };
        self.cache.set_class(class.clone());
        let decides = |class: &StorageClass| {
            (class.provisioner.clone(), class.volume_binding_mode.clone(), class.allowed_topologies.clone())
        };
        if change.old().is_some_and(|old| decides(old) == decides(class)) {
            return;
        }
        self.queue.notify(ClusterEvent::StorageClassChanged(class.clone()), now);
    }

    fn node(&mut self, change: &Change<Node>, now: Instant) {
        let Some(node) = change.new() else {
            let name = name(&**change.object());
            self.cache.remove_node(&name);
            self.queue.notify(ClusterEvent::NodeRemoved(Arc::new(NodeInfo::new(change.object().clone()))), now);
            return self.bells.ring(|| Cause::Node(name.into()));
        };
        let old = self.cache.set_node(node.clone());
        let new = Arc::new(NodeInfo::new(node.clone()));
        match old {
            None => self.queue.notify(ClusterEvent::NodeAdded(new), now),
            Some(old) if differ(&old, &new) => {
                // Without its pods: an event that shared them would have the cache copy the node with its next pod.
                let old = Arc::new(NodeInfo::new(old.node().clone()));
                self.bells.ring(|| Cause::Node(new.name().clone()));
                self.queue.notify(ClusterEvent::NodeUpdated { old, new }, now);
            }
            // A heartbeat.
            Some(_) => {}
        }
    }

    fn pod(&mut self, pod: Arc<PodInfo>, now: Instant) {
        if has_ended(&pod) {
            self.gone(&pod, now);
        } else if pod.node_name().is_some() {
            self.assigned(pod, now);
        } else if !self.cache.contains(pod.id()) {
            if self.queue.serves(&pod) && is_ready(&pod) {
                self.queue.set(pod, now);
            } else {
                self.queue.remove(pod.id());
            }
        }
        // Else it is assumed to be on a node, and what arrives is from before its binding.
    }

    fn assigned(&mut self, pod: Arc<PodInfo>, now: Instant) {
        self.queue.remove(pod.id());
        let old = self.cache.set_pod(pod.clone());
        let event = match old.filter(|old| old.node_name().is_some()) {
            None => ClusterEvent::PodAssigned(pod),
            Some(old) if old.requests() == pod.requests() && old.pod().metadata.labels == pod.pod().metadata.labels => {
                return;
            }
            Some(old) => ClusterEvent::AssignedPodUpdated { old, new: pod },
        };
        self.queue.notify(event, now);
    }

    /// The pod was deleted, or its containers will not run again: it takes no room.
    fn gone(&mut self, pod: &PodInfo, now: Instant) {
        self.queue.remove(pod.id());
        if let Some(pod) = self.cache.remove_pod(pod.id()) {
            self.queue.notify(ClusterEvent::PodReleased(pod), now);
        }
    }
}

fn name(object: &impl Resource) -> String {
    object.meta().name.clone().unwrap_or_default()
}

fn has_ended(pod: &PodInfo) -> bool {
    let phase = pod.pod().status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether the pod wants a node now: it is not being deleted, and no scheduling gate holds it (KEP-3521).
fn is_ready(pod: &PodInfo) -> bool {
    let gates = pod.spec().and_then(|spec| spec.scheduling_gates.as_deref()).unwrap_or_default();
    gates.is_empty() && pod.pod().metadata.deletion_timestamp.is_none()
}

fn differ(old: &NodeInfo, new: &NodeInfo) -> bool {
    old.allocatable() != new.allocatable()
        || old.labels() != new.labels()
        || old.taints() != new.taints()
        || old.is_unschedulable() != new.is_unschedulable()
}
