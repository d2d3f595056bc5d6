//! Who depends on whom, by uid: pure bookkeeping that says which objects deserve a look after each change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The finalizer of an object that waits for its dependents to go first.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents are to outlive it.
pub(super) const ORPHAN: &str = "orphan";

pub(super) type Uid = Arc<str>;

/// What the graph knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// API group and kind.
    pub(super) kind: Arc<(String, String)>,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) name: Arc<str>,
    pub(super) owners: Vec<Owner>,
    pub(super) is_deleting: bool,
    pub(super) waits_for_dependents: bool,
    pub(super) orphans_dependents: bool,
}

/// An owner of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: Uid,
    /// Whether the owner's foreground deletion has to wait for the object.
    pub(super) is_blocked: bool,
}

impl Node {
    pub(super) fn new(kind: &Arc<(String, String)>, meta: &ObjectMeta) -> Self {
        let owners = meta.owner_references.iter().flatten().map(|owner| Owner {
            uid: owner.uid.as_str().into(),
            is_blocked: owner.block_owner_deletion == Some(true),
        });
        let is_deleting = meta.deletion_timestamp.is_some();
        let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|other| other == finalizer);
        Self {
            kind: Arc::clone(kind),
            namespace: meta.namespace.as_deref().map(Arc::from),
            name: meta.name.as_deref().unwrap_or_default().into(),
            owners: owners.collect(),
            is_deleting,
            waits_for_dependents: is_deleting && has(FOREGROUND),
            orphans_dependents: is_deleting && has(ORPHAN),
        }
    }

    fn is_blocking(&self, owner: &str) -> bool {
        self.owners.iter().any(|other| &*other.uid == owner && other.is_blocked)
    }
}

/// All objects that are known, and the edges between them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<Uid, Node>,
    /// Also of owners that were never seen or are gone.
    dependents: BTreeMap<Uid, BTreeSet<Uid>>,
}

impl Graph {
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The objects that name `uid` as an owner.
    pub(super) fn dependents(&self, uid: &str) -> Vec<(Uid, Node)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| Some((Arc::clone(uid), self.nodes.get(uid)?.clone()))).collect()
    }

    /// Whether a dependent holds up the foreground deletion of `uid`.
    pub(super) fn is_blocked(&self, uid: &str) -> bool {
        let mut dependents = self.dependents.get(uid).into_iter().flatten();
        dependents.any(|dependent| self.nodes.get(dependent).is_some_and(|node| node.is_blocking(uid)))
    }

    /// The uids of all objects of a kind.
    pub(super) fn of_kind(&self, kind: &(String, String)) -> BTreeSet<Uid> {
        self.nodes.iter().filter(|(_, node)| *node.kind == *kind).map(|(uid, _)| Arc::clone(uid)).collect()
    }

    /// The objects that have an owner which was not seen: it may be gone since before anyone looked.
    pub(super) fn bereft(&self) -> Vec<Uid> {
        let owners_seen = |node: &Node| node.owners.iter().all(|owner| self.nodes.contains_key(&owner.uid));
        self.nodes.iter().filter(|(_, node)| !owners_seen(node)).map(|(uid, _)| Arc::clone(uid)).collect()
    }

    /// Notes the present state of an object; returns what deserves a look now.
    pub(super) fn observe(&mut self, uid: &str, node: Node) -> BTreeSet<Uid> {
        let uid: Uid = self.nodes.get_key_value(uid).map_or_else(|| uid.into(), |(uid, _)| Arc::clone(uid));
        let old = self.nodes.insert(Arc::clone(&uid), node.clone());
        if old.as_ref() == Some(&node) {
            return BTreeSet::new();
        }
        let old_owners = old.as_ref().map(|old| old.owners.clone()).unwrap_or_default();
        self.relink(&uid, &old_owners, &node.owners);
        let mut look = BTreeSet::new();
        // An owner that waits may not have to any more.
        look.extend(old_owners.iter().filter(|owner| self.waits(&owner.uid)).map(|owner| Arc::clone(&owner.uid)));
        if node.waits_for_dependents && !old.is_some_and(|old| old.waits_for_dependents) {
            look.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        }
        let is_leaving_well = node.waits_for_dependents || node.orphans_dependents;
        if is_leaving_well || node.owners.iter().any(|owner| self.is_doubtful(owner, &node)) {
            look.insert(uid);
        }
        look
    }

    /// Notes that an object is gone; returns what deserves a look now.
    pub(super) fn remove(&mut self, uid: &str) -> BTreeSet<Uid> {
        let Some((uid, node)) = self.nodes.remove_entry(uid) else { return BTreeSet::new() };
        self.relink(&uid, &node.owners, &[]);
        let waiting = node.owners.iter().filter(|owner| self.waits(&owner.uid)).map(|owner| Arc::clone(&owner.uid));
        waiting.chain(self.dependents.get(&uid).into_iter().flatten().cloned()).collect()
    }

    fn waits(&self, uid: &str) -> bool {
        self.nodes.get(uid).is_some_and(|node| node.waits_for_dependents)
    }

    /// Whether an owner is not known to be there, to stay, and to be one that `node` can have.
    fn is_doubtful(&self, owner: &Owner, node: &Node) -> bool {
        self.nodes.get(&owner.uid).is_none_or(|owner| {
            owner.waits_for_dependents || (owner.namespace.is_some() && owner.namespace != node.namespace)
        })
    }

    fn relink(&mut self, uid: &Uid, old: &[Owner], new: &[Owner]) {
        let names = |owners: &[Owner], uid: &str| owners.iter().any(|owner| &*owner.uid == uid);
        for owner in old.iter().filter(|owner| !names(new, &owner.uid)) {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        for owner in new.iter().filter(|owner| !names(old, &owner.uid)) {
            // Shares the owner's own copy of the uid where there is one: most memory of a graph is uids.
            let owner =
                self.nodes.get_key_value(&owner.uid).map_or_else(|| Arc::clone(&owner.uid), |(uid, _)| Arc::clone(uid));
            self.dependents.entry(owner).or_default().insert(Arc::clone(uid));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(meta: Value) -> Node {
        Node::new(&Arc::new(("apps".into(), "Thing".into())), &serde_json::from_value(meta).unwrap())
    }

    fn child(of: &str) -> Node {
        let owner = json!({"apiVersion": "v1", "kind": "Thing", "name": of, "uid": of, "blockOwnerDeletion": true});
        node(json!({"name": "child", "namespace": "a", "ownerReferences": [owner]}))
    }

    fn owner(finalizer: Option<&str>) -> Node {
        let deleted = finalizer.map(|_| "2026-01-01T00:00:00Z");
        let finalizers: Vec<_> = finalizer.into_iter().collect();
        node(json!({"name": "owner", "namespace": "a", "deletionTimestamp": deleted, "finalizers": finalizers}))
    }

    fn look(uids: BTreeSet<Uid>) -> Vec<String> {
        uids.into_iter().map(|uid| uid.to_string()).collect()
    }

    #[test]
    fn a_child_deserves_a_look_while_its_owner_is_not_seen_and_when_it_is_gone() {
        let mut graph = Graph::default();
        assert_eq!(look(graph.observe("child", child("owner"))), ["child"]);
        assert_eq!(look(graph.bereft().into_iter().collect()), ["child"]);
        assert!(graph.observe("owner", owner(None)).is_empty());
        assert!(graph.bereft().is_empty());
        assert!(graph.observe("child", child("owner")).is_empty());
        assert_eq!(look(graph.remove("owner")), ["child"]);
    }

    #[test]
    fn foreground_deletion_looks_at_dependents_and_then_at_the_owner() {
        let mut graph = Graph::default();
        graph.observe("owner", owner(None));
        graph.observe("child", child("owner"));
        assert_eq!(look(graph.observe("owner", owner(Some(FOREGROUND)))), ["child", "owner"]);
        assert!(graph.is_blocked("owner"));
        assert_eq!(look(graph.observe("late", child("owner"))), ["late"]);
        graph.remove("late");
        assert_eq!(look(graph.remove("child")), ["owner"]);
        assert!(!graph.is_blocked("owner"));
    }

    #[test]
    fn an_orphaning_owner_deserves_a_look() {
        let mut graph = Graph::default();
        graph.observe("child", child("owner"));
        assert_eq!(look(graph.observe("owner", owner(Some(ORPHAN)))), ["owner"]);
        assert_eq!(graph.dependents("owner").len(), 1);
        let freed = node(json!({"name": "child", "namespace": "a"}));
        assert!(graph.observe("child", freed).is_empty());
        assert!(graph.dependents("owner").is_empty());
    }

    #[test]
    fn an_owner_in_another_namespace_is_doubtful() {
        let mut graph = Graph::default();
        graph.observe("owner", node(json!({"name": "owner", "namespace": "b"})));
        assert_eq!(look(graph.observe("child", child("owner"))), ["child"]);
        graph.observe("root", node(json!({"name": "root"})));
        assert!(graph.observe("other", child("root")).is_empty());
    }
}
