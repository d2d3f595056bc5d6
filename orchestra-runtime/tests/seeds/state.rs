//! The objects of the cluster at one revision, read from the store's log.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    Metadata,
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{Node, Pod},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use orchestra_core::store::Event;
use serde::de::DeserializeOwned;

/// Objects by their keys in the store.
type Objects<K> = BTreeMap<String, Arc<K>>;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) pods: Objects<Pod>,
    pub(crate) nodes: Objects<Node>,
    pub(crate) sets: Objects<ReplicaSet>,
    pub(crate) deployments: Objects<Deployment>,
}

/// What a revision did to a pod.
pub(crate) struct PodChange {
    pub(crate) before: Option<Arc<Pod>>,
    pub(crate) after: Option<Arc<Pod>>,
}

impl State {
    /// Takes in one change, and tells what became of a pod if it is one's.
    pub(crate) fn apply(&mut self, event: &Event) -> Option<PodChange> {
        let mut parts = event.key().trim_start_matches("/registry/").split('/');
        match parts.next()? {
            "pods" => {
                let (before, after) = put(&mut self.pods, event);
                return Some(PodChange { before, after });
            }
            "minions" => drop(put(&mut self.nodes, event)),
            "replicasets" => drop(put(&mut self.sets, event)),
            "deployments" => drop(put(&mut self.deployments, event)),
            _ => {}
        }
        None
    }

    /// The replica sets of a deployment.
    pub(crate) fn sets_of(&self, deployment: &Deployment) -> Vec<&ReplicaSet> {
        self.sets.values().map(|set| &**set).filter(|set| is_owned(*set, deployment)).collect()
    }

    /// The pods of a replica set.
    pub(crate) fn pods_of(&self, set: &ReplicaSet) -> Vec<&Pod> {
        self.pods.values().map(|pod| &**pod).filter(|pod| is_owned(*pod, set)).collect()
    }
}

fn put<K: DeserializeOwned>(objects: &mut Objects<K>, event: &Event) -> (Option<Arc<K>>, Option<Arc<K>>) {
    let key = event.key().to_string();
    match event {
        Event::Put { current, .. } => {
            let object: K = serde_json::from_slice(&current.value).expect("what is stored can be decoded");
            let object = Arc::new(object);
            (objects.insert(key, Arc::clone(&object)), Some(object))
        }
        Event::Delete { .. } => (objects.remove(&key), None),
    }
}

fn controller<K: Metadata<Ty = ObjectMeta>>(object: &K) -> Option<&OwnerReference> {
    object.metadata().owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn is_owned<K: Metadata<Ty = ObjectMeta>, O: Metadata<Ty = ObjectMeta>>(object: &K, owner: &O) -> bool {
    controller(object).is_some_and(|of| Some(&of.uid) == owner.metadata().uid.as_ref())
}

pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the pod's containers will not run again.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod counts for its replica set.
pub(crate) fn is_active(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !is_finished(pod)
}

/// Whether the pod counts as available when it must have been ready for `seconds`.
pub(crate) fn is_available(pod: &Pod, seconds: i32, now: Timestamp) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status == "True");
    let since = ready.and_then(|ready| ready.last_transition_time.as_ref());
    is_active(pod) && since.is_some_and(|since| now.as_second() - since.0.as_second() >= seconds.into())
}
