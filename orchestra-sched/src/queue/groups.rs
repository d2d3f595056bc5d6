//! Which pods belong together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use orchestra_core::ObjectKey;

use super::Id;

/// A group as the queue tells it apart: the scheduler's name, and what that scheduler calls the group.
pub(super) type GroupKey = (String, ObjectKey);

/// The pods of groups, with a node or without. Pods on their own are not here, and cost nothing.
#[derive(Default)]
pub(super) struct Groups {
    of: HashMap<Id, GroupKey>,
    groups: BTreeMap<GroupKey, Group>,
}

/// One group's pods, by id.
#[derive(Default)]
pub(super) struct Group {
    pub(super) pods: BTreeSet<Id>,
    /// Those of them that wait for an attempt.
    pub(super) waiting: BTreeSet<Id>,
}

impl Group {
    /// How many have a node, or are on their way to one.
    pub(super) fn placed(&self) -> usize {
        self.pods.len().saturating_sub(self.waiting.len())
    }
}

impl Groups {
    /// Whose group the pod belongs to.
    pub(super) fn of(&self, id: &str) -> Option<&GroupKey> {
        // Mostly there are none at all, and this is asked for each pod.
        if self.of.is_empty() { None } else { self.of.get(id) }
    }

    pub(super) fn get(&self, key: &GroupKey) -> Option<&Group> {
        self.groups.get(key)
    }

    /// The pod belongs to that group now, or to none; `true` if it did not before.
    pub(super) fn join(&mut self, id: &Id, key: Option<GroupKey>) -> bool {
        if self.of(id) == key.as_ref() {
            return false;
        }
        self.leave(id);
        let Some(key) = key else { return false };
        self.groups.entry(key.clone()).or_default().pods.insert(id.clone());
        self.of.insert(id.clone(), key);
        true
    }

    /// The pod is gone.
    pub(super) fn leave(&mut self, id: &str) {
        let Some(key) = self.of(id).cloned() else { return };
        self.of.remove(id);
        if let Some(group) = self.groups.get_mut(&key) {
            group.pods.remove(id);
            group.waiting.remove(id);
            if group.pods.is_empty() {
                self.groups.remove(&key);
            }
        }
    }

    /// Notes whether the pod waits for an attempt.
    pub(super) fn set_waiting(&mut self, id: &Id, waits: bool) {
        let Some(key) = self.of(id).cloned() else { return };
        if let Some(group) = self.groups.get_mut(&key) {
            if waits {
                group.waiting.insert(id.clone())
            } else {
                group.waiting.remove(id)
            };
        }
    }
}
