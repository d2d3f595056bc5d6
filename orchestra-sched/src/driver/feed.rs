//! What informers tell, brought into queue and cache.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use orchestra_core::{
    informer::{Change, Informer, InformerFactory, Subscription},
    scheduler::{Cause, ClusterEvent, NodeInfo, ObjectChange, ObjectKind, ObjectWatch, PodInfo},
};
use tokio::time::Instant;

use super::state::{SharedState, State};

/// Feeds `state` until the subscriptions are dropped.
pub(super) fn subscribe(nodes: &Informer<Node>, pods: &Informer<PodInfo>, state: &SharedState) -> [Subscription; 2] {
    let (of_nodes, of_pods) = (state.clone(), state.clone());
    [
        nodes.subscribe(move |change| of_nodes.change(|state, now| state.node(change, now))),
        pods.subscribe(move |change| {
            of_pods.change(|state, now| {
                state.bells.ring(|| Cause::Pod(change.object().key().clone()));
                match change.new() {
                    Some(pod) => state.pod(pod.clone(), change.old().map(|old| &**old), now),
                    None => state.gone(change.object(), now),
                }
            });
        }),
    ]
}

/// The same, of one of the other kinds.
pub(super) fn watch(kind: ObjectKind, informers: &InformerFactory, state: &SharedState) -> ObjectWatch {
    let state = state.clone();
    kind.watch(informers, move |change| {
        state.change(|state, now| {
            state.cache.apply(&change);
            state.tell(change, now);
        });
    })
}

impl State {
    /// Tells those whom it may concern that an object, neither node nor pod, is not as it was.
    pub(super) fn tell(&mut self, change: ObjectChange, now: Instant) {
        self.bells.ring(|| Cause::Object(change.kind(), change.key()));
        self.queue.notify(ClusterEvent::ObjectChanged(change), now);
    }

    fn node(&mut self, change: &Change<Node>, now: Instant) {
        let Some(node) = change.new() else {
            let gone = Arc::new(NodeInfo::new(change.object().clone()));
            self.cache.remove_node(gone.name());
            self.bells.ring(|| Cause::Node(gone.name().clone()));
            // What was promised room there looks for it elsewhere.
            for pod in self.cache.withdraw_on(gone.name(), |_| true) {
                self.queue.reconsider(pod.id(), now);
            }
            return self.queue.notify(ClusterEvent::NodeRemoved(gone), now);
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

    fn pod(&mut self, pod: Arc<PodInfo>, old: Option<&PodInfo>, now: Instant) {
        if pod.has_ended() {
            self.gone(&pod, now);
        } else if pod.node_name().is_some() {
            self.assigned(pod, now);
        } else if !self.cache.contains(pod.id()) {
            if self.queue.serves(&pod) && !pod.is_terminating() {
                self.cache.set_waiting(&pod, old.and_then(PodInfo::nominated_node));
                self.queue.set(pod, now);
            } else {
                self.cache.withdraw(pod.id());
                self.queue.remove(pod.id());
            }
        }
        // Else it is assumed to be on a node, and what arrives is from before its binding.
    }

    fn assigned(&mut self, pod: Arc<PodInfo>, now: Instant) {
        self.queue.assigned(&pod, now);
        let old = self.cache.set_pod(pod.clone());
        let event = match old.filter(|old| old.node_name().is_some()) {
            None => ClusterEvent::PodAssigned(pod),
            Some(old) if old.requests() == pod.requests() && old.labels() == pod.labels() => {
                return;
            }
            Some(old) => ClusterEvent::AssignedPodUpdated { old, new: pod },
        };
        self.queue.notify(event, now);
    }

    /// The pod was deleted, or its containers will not run again: it takes no room.
    fn gone(&mut self, pod: &PodInfo, now: Instant) {
        self.queue.remove(pod.id());
        self.cache.withdraw(pod.id());
        if let Some(pod) = self.cache.remove_pod(pod.id()) {
            self.queue.notify(ClusterEvent::PodReleased(pod), now);
        }
    }
}

/// Whether a node changed in a way that schedulers look at: all that changes with each heartbeat is none.
fn differ(old: &NodeInfo, new: &NodeInfo) -> bool {
    old.allocatable() != new.allocatable()
        || old.labels() != new.labels()
        || old.taints() != new.taints()
        || old.is_unschedulable() != new.is_unschedulable()
        || old.node().metadata.annotations != new.node().metadata.annotations
        || old.declared_features() != new.declared_features()
        || !conditions(old).eq(conditions(new))
}

fn conditions(node: &NodeInfo) -> impl Iterator<Item = (&str, &str)> {
    let conditions = node.node().status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.map(|condition| (condition.type_.as_str(), condition.status.as_str()))
}
