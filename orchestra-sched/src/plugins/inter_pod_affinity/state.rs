//! What is known of the cluster during the decision about one pod.

use std::sync::Arc;

use orchestra_core::scheduler::{NodeInfo, PodInfo};

use super::{
    super::rows::Ledger,
    existing::{ByKey, Effect, Existing},
    incoming::{Incoming, Role, Wish},
    namespaces::NamespaceLabels,
    trial::{Part, Trial},
};

/// What the filter and the score need for each node.
pub(super) struct Prepared {
    pub(super) existing: Arc<Ledger<Existing>>,
    /// What the pod itself wishes; `None` if nothing.
    pub(super) incoming: Option<Arc<Ledger<Incoming>>>,
    pub(super) namespace_labels: NamespaceLabels,
    /// The required anti-affinity of existing pods that means the pod.
    forbidden: Vec<ByKey>,
    /// Whether the pod is one of those that it wants to be near to.
    attracts_itself: bool,
    trial: Trial,
}

impl Prepared {
    pub(super) fn new(
        pod: &PodInfo,
        existing: Arc<Ledger<Existing>>,
        incoming: Option<Arc<Ledger<Incoming>>>,
        namespace_labels: NamespaceLabels,
    ) -> Self {
        let forbidden = existing.account().meaning(Effect::Forbids, pod, &namespace_labels);
        let attracts_itself = incoming.as_ref().is_some_and(|incoming| incoming.account().wishes().attracts(pod));
        Self { existing, incoming, namespace_labels, forbidden, attracts_itself, trial: Trial::default() }
    }

    /// Whether some node may be left out at all.
    pub(super) fn may_reject(&self) -> bool {
        let requires = |role| matches!(role, Role::Affinity | Role::AntiAffinity);
        !self.forbidden.is_empty() || self.wishes().any(|(_, wish)| requires(wish.role))
    }

    fn wishes(&self) -> impl Iterator<Item = (usize, &Wish)> {
        self.incoming.iter().flat_map(|incoming| incoming.account().wishes().iter())
    }

    /// How many pods a required term means on nodes with this value of its key.
    fn meant(&self, slot: usize, value: &str) -> i64 {
        let counted = self.incoming.as_ref().map_or(0, |incoming| incoming.account().sums(slot).of(value));
        counted + self.trial.of(Part::Wishes, slot, value)
    }

    /// Whether the pods that required affinity asks for are near the node.
    pub(super) fn has_what_attracts(&self, node: &NodeInfo) -> bool {
        let mut all_near = true;
        for (slot, wish) in self.wishes().filter(|(_, wish)| wish.role == Role::Affinity) {
            // Without the label the node is near nothing.
            let Some(value) = node.labels().get(&wish.term.topology_key) else { return false };
            all_near = all_near && self.meant(slot, value) > 0;
        }
        // The first of a group of pods that want to be together has to go somewhere.
        all_near || (self.attracts_itself && self.attracting() == 0)
    }

    /// How much there is in all of what required affinity asks for.
    fn attracting(&self) -> i64 {
        let affinity = self.wishes().filter(|(_, wish)| wish.role == Role::Affinity);
        let counted = |slot| self.incoming.as_ref().map_or(0, |incoming| incoming.account().sums(slot).total());
        affinity.map(|(slot, _)| counted(slot)).sum::<i64>() + self.trial.attracting
    }

    /// Whether a pod is near the node that required anti-affinity asks to be far from.
    pub(super) fn has_what_repels(&self, node: &NodeInfo) -> bool {
        let mut anti_affinity = self.wishes().filter(|(_, wish)| wish.role == Role::AntiAffinity);
        anti_affinity.any(|(slot, wish)| {
            node.labels().get(&wish.term.topology_key).is_some_and(|value| self.meant(slot, value) > 0)
        })
    }

    /// Whether a pod is near the node that asks to be far from this one.
    pub(super) fn is_repelled(&self, node: &NodeInfo) -> bool {
        self.forbidden.iter().enumerate().any(|(number, terms)| {
            node.labels().get(&terms.key).is_some_and(|value| {
                self.existing.account().of(terms, value) + self.trial.of(Part::Forbidden, number, value) > 0
            })
        })
    }

    /// Counts with `other` on `node`, where it is not yet, `sign` times: -1 counts without it, which is there.
    pub(super) fn try_pod(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, sign: i64) {
        for term in other.affinity_terms().into_iter().flat_map(|terms| &terms.required_anti_affinity) {
            let value = node.labels().get(&term.topology_key);
            if let Some(value) = value.filter(|_| term.matches(pod, self.namespace_labels.get())) {
                let number = self.forbidden_number(&term.topology_key);
                self.trial.note(Part::Forbidden, number, value, sign);
            }
        }
        let Some(incoming) = self.incoming.clone() else { return };
        let wishes = incoming.account().wishes();
        for (slot, wish) in wishes.iter().filter(|(_, wish)| !matches!(wish.role, Role::Preferred(_))) {
            let amount = sign * wishes.amount(wish, other);
            let value = node.labels().get(&wish.term.topology_key);
            if let Some(value) = value.filter(|_| amount != 0) {
                self.trial.note(Part::Wishes, slot, value, amount);
                self.trial.attracting += if wish.role == Role::Affinity { amount } else { 0 };
            }
        }
    }

    fn forbidden_number(&mut self, key: &str) -> usize {
        let known = self.forbidden.iter().position(|terms| terms.key == key);
        known.unwrap_or_else(|| {
            self.forbidden.push(ByKey::none(key));
            self.forbidden.len() - 1
        })
    }
}
