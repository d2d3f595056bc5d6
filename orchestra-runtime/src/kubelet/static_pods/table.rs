//! Which static pods there are, and what shows them: without I/O.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orchestra_core::ObjectKey;

use super::{Mirror, is_mirror_of};
use crate::kubelet::{pod::step::grace, source::uid_of};

/// What follows from a change: the pod as it is to be now, and what shows it. New pods start; pods with a time of deletion end.
pub(in crate::kubelet) struct Move {
    pub(in crate::kubelet) pod: Arc<Pod>,
    pub(in crate::kubelet) mirror: Mirror,
}

/// The static pods by namespace and name, and all mirrors that the API server has.
#[derive(Debug, Default)]
pub(in crate::kubelet) struct Table {
    pods: BTreeMap<ObjectKey, Held>,
    mirrors: BTreeMap<ObjectKey, Arc<Pod>>,
    /// Whether it is known of all files what they say. Until then no mirror is an orphan.
    is_complete: bool,
}

/// The static pod of one name.
#[derive(Debug)]
struct Held {
    pod: Arc<Pod>,
    /// Since when it is to end.
    ending: Option<Timestamp>,
    /// The one that takes its place when it has ended: there is one of a name at a time.
    next: Option<Arc<Pod>>,
}

impl Table {
    /// Takes in what the folder says now, and whether that is all that it says.
    pub(in crate::kubelet) fn read(&mut self, pods: Vec<Arc<Pod>>, is_all: bool, now: Timestamp) -> Vec<Move> {
        let mut wanted: BTreeMap<ObjectKey, Arc<Pod>> =
            pods.into_iter().map(|pod| (ObjectKey::of(&*pod), pod)).collect();
        let mut changed = Vec::new();
        for (key, held) in &mut self.pods {
            let next = wanted.remove(key);
            if held.ending.is_none() {
                if next.as_ref().is_some_and(|next| uid_of(next) == uid_of(&held.pod)) {
                    continue;
                }
                held.ending = Some(now);
                changed.push(key.clone());
            }
            held.next = next;
        }
        for (key, pod) in wanted {
            changed.push(key.clone());
            self.pods.insert(key, Held { pod, ending: None, next: None });
        }
        let mut moves: Vec<Move> = changed.iter().filter_map(|key| self.state(key)).collect();
        if is_all && !std::mem::replace(&mut self.is_complete, true) {
            let orphans = self.mirrors.iter().filter(|(key, _)| !self.pods.contains_key(*key));
            moves.extend(orphans.map(|(_, mirror)| orphan(Arc::clone(mirror))));
        }
        moves
    }

    /// Whether it is known of all files what they say: before that, what runs may be of one that could not be read yet.
    pub(in crate::kubelet) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Takes in a mirror as the API server has it now.
    pub(in crate::kubelet) fn mirror(&mut self, mirror: Arc<Pod>) -> Option<Move> {
        let key = ObjectKey::of(&*mirror);
        self.mirrors.insert(key.clone(), Arc::clone(&mirror));
        self.state(&key).or_else(|| self.is_complete.then(|| orphan(mirror)))
    }

    /// Takes in that the API server has no pod of this uid any more.
    pub(in crate::kubelet) fn mirror_gone(&mut self, uid: &str) -> Option<Move> {
        let key = self.mirrors.iter().find(|(_, mirror)| *uid_of(mirror) == *uid).map(|(key, _)| key.clone())?;
        self.mirrors.remove(&key);
        self.state(&key)
    }

    /// Takes in that nothing is left of the pod of this uid on the node.
    pub(in crate::kubelet) fn over(&mut self, uid: &str) -> Option<Move> {
        let ended = |held: &Held| held.ending.is_some() && *uid_of(&held.pod) == *uid;
        let key = self.pods.iter().find(|(_, held)| ended(held)).map(|(key, _)| key.clone())?;
        if let Some(next) = self.pods.remove(&key).and_then(|held| held.next) {
            self.pods.insert(key.clone(), Held { pod: next, ending: None, next: None });
            return self.state(&key);
        }
        self.mirrors.get(&key).cloned().map(orphan)
    }

    /// The pod of this name as it is to be.
    fn state(&self, key: &ObjectKey) -> Option<Move> {
        let Held { pod, ending, .. } = self.pods.get(key)?;
        let mirror = self.mirrors.get(key);
        let mut pod = (**pod).clone();
        if let Some(at) = ending {
            pod.metadata.deletion_grace_period_seconds = i64::try_from(grace(&pod).as_secs()).ok();
            pod.metadata.deletion_timestamp = Some(Time(*at));
        }
        let of_mirror = |mirror: &Pod| mirror.metadata.uid.clone().unwrap_or_default();
        let shown = match mirror {
            None => Mirror::Missing,
            Some(mirror) if !is_mirror_of(mirror, &pod) || mirror.metadata.deletion_timestamp.is_some() => {
                Mirror::Wrong(of_mirror(mirror))
            }
            Some(mirror) => {
                // What was told of the pod is in the mirror.
                pod.status.clone_from(&mirror.status);
                pod.metadata.generation = mirror.metadata.generation;
                pod.metadata.resource_version.clone_from(&mirror.metadata.resource_version);
                Mirror::Is(of_mirror(mirror))
            }
        };
        pod.status.get_or_insert_with(PodStatus::default);
        Some(Move { pod: Arc::new(pod), mirror: shown })
    }
}

/// A mirror that is to go, as it shows nothing any more.
fn orphan(mirror: Arc<Pod>) -> Move {
    let mut pod = (*mirror).clone();
    pod.metadata.deletion_timestamp.get_or_insert(Time(Timestamp::UNIX_EPOCH));
    Move { pod: Arc::new(pod), mirror: Mirror::Orphan }
}
