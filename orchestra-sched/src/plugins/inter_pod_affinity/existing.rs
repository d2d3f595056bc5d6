//! The terms of the pods that are on nodes, which concern pods that come.

use std::{collections::HashMap, sync::Arc};

use orchestra_core::scheduler::{AffinityTerm, NodeInfo, PodInfo};

use super::{
    super::rows::Account,
    namespaces::NamespaceLabels,
    sums::{Posting, Sums},
};

/// What follows from a term for a pod that it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// It may not go near the term's pods.
    Forbids,
    /// Nodes near them are liked more, or less.
    Sways,
}

/// All distinct terms, and where they hold. The pods of one controller share theirs, so that there are far fewer of them than of pods.
#[derive(Clone, Default)]
pub(super) struct Existing {
    /// How much a node is liked more for each pod that requires to be near the incoming one.
    hard_weight: i64,
    slots: Vec<Slot>,
    forbidding: HashMap<Arc<AffinityTerm>, usize>,
    swaying: HashMap<Arc<AffinityTerm>, usize>,
    /// The numbers of slots that nobody uses.
    free: Vec<usize>,
}

#[derive(Clone)]
struct Slot {
    effect: Effect,
    term: Arc<AffinityTerm>,
    sums: Sums,
    postings: usize,
}

/// The terms of one effect and topology key that mean a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ByKey {
    pub(super) key: String,
    slots: Vec<usize>,
}

impl ByKey {
    /// No term yet, but for this key.
    pub(super) fn none(key: &str) -> Self {
        Self { key: key.to_owned(), slots: Vec::new() }
    }
}

impl Existing {
    pub(super) fn new(hard_weight: i64) -> Self {
        Self { hard_weight, ..Self::default() }
    }

    /// The terms with this effect that mean `pod`, which is in a namespace with these labels.
    pub(super) fn meaning(&self, effect: Effect, pod: &PodInfo, labels: &NamespaceLabels) -> Vec<ByKey> {
        let mut by_key: Vec<ByKey> = Vec::new();
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.effect == effect && slot.postings > 0);
        for (number, slot) in used.filter(|(_, slot)| slot.term.matches(pod, labels.get())) {
            let key = &slot.term.topology_key;
            match by_key.iter_mut().find(|known| known.key == *key) {
                Some(known) => known.slots.push(number),
                None => by_key.push(ByKey { key: key.clone(), slots: vec![number] }),
            }
        }
        by_key
    }

    /// The sum of the terms for a value of their key.
    pub(super) fn of(&self, terms: &ByKey, value: &str) -> i64 {
        terms.slots.iter().map(|slot| self.slots[*slot].sums.of(value)).sum()
    }

    fn post(&mut self, effect: Effect, term: &AffinityTerm, amount: i64, node: &NodeInfo) -> Option<Posting> {
        let value = node.labels().get(&term.topology_key)?;
        let number = self.number(effect, term);
        let slot = &mut self.slots[number];
        slot.postings += 1;
        Some(slot.sums.post(number, value, amount))
    }

    /// The number of the term's slot, which is made if there is none.
    fn number(&mut self, effect: Effect, term: &AffinityTerm) -> usize {
        if let Some(number) = self.by_term(effect).get(term) {
            return *number;
        }
        let term = Arc::new(term.clone());
        let slot = Slot { effect, term: term.clone(), sums: Sums::default(), postings: 0 };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.by_term(effect).insert(term, number);
        number
    }

    fn by_term(&mut self, effect: Effect) -> &mut HashMap<Arc<AffinityTerm>, usize> {
        match effect {
            Effect::Forbids => &mut self.forbidding,
            Effect::Sways => &mut self.swaying,
        }
    }
}

impl Account for Existing {
    type Entry = Box<[Posting]>;

    fn put_in(&mut self, node: &NodeInfo) -> Self::Entry {
        let mut postings = Vec::new();
        for (_, terms) in node.pods_with_affinity() {
            let forbids = terms.required_anti_affinity.iter().map(|term| (Effect::Forbids, term, 1));
            let hard_weight = self.hard_weight;
            let required = terms.required_affinity.iter().map(|term| (Effect::Sways, term, hard_weight));
            let preferred = terms.preferred.iter().map(|(weight, term)| (Effect::Sways, term, *weight));
            for (effect, term, amount) in forbids.chain(required).chain(preferred).filter(|(.., amount)| *amount != 0) {
                postings.extend(self.post(effect, term, amount, node));
            }
        }
        postings.into()
    }

    fn take_out(&mut self, postings: Self::Entry) {
        for posting in postings {
            let number = posting.slot;
            let slot = &mut self.slots[number];
            slot.sums.take_back(posting);
            slot.postings -= 1;
            if slot.postings == 0 {
                let (effect, term) = (slot.effect, slot.term.clone());
                self.by_term(effect).remove(&term);
                self.free.push(number);
            }
        }
    }
}
