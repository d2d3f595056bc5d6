//! The pods that the terms of an incoming pod mean.

use std::collections::BTreeMap;

use orchestra_core::{
    scheduler::{AffinityTerm, AffinityTerms, NodeInfo, PodInfo, Snapshot},
    selector::label::Selector,
};

use super::{
    super::rows::Account,
    namespaces::selected,
    sums::{Posting, Sums},
};

/// The terms of an incoming pod. Their namespaces are named, so that an existing pod's need not be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wishes(Vec<Wish>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) role: Role,
    pub(super) term: AffinityTerm,
}

/// What follows from a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A pod that all terms of this role mean has to be near.
    Affinity,
    /// No pod that is meant may be near.
    AntiAffinity,
    /// For each pod that is meant a near node is liked this much more.
    Preferred(i64),
}

impl Wishes {
    pub(super) fn of(terms: &AffinityTerms, snapshot: &Snapshot) -> Self {
        let affinity = terms.required_affinity.iter().map(|term| (Role::Affinity, term));
        let anti_affinity = terms.required_anti_affinity.iter().map(|term| (Role::AntiAffinity, term));
        let preferred = terms.preferred.iter().map(|(weight, term)| (Role::Preferred(*weight), term));
        let all = affinity.chain(anti_affinity).chain(preferred);
        Self(all.map(|(role, term)| Wish { role, term: with_names(term, snapshot) }).collect())
    }

    /// The terms, each with its number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Wish)> {
        self.0.iter().enumerate()
    }

    /// Whether there is a term of required affinity, and all of them mean `pod`.
    pub(super) fn attracts(&self, pod: &PodInfo) -> bool {
        let mut terms = self.0.iter().filter(|wish| wish.role == Role::Affinity).peekable();
        terms.peek().is_some() && terms.all(|wish| wish.means(pod))
    }

    /// What `pod` adds to the sum of `wish`.
    pub(super) fn amount(&self, wish: &Wish, pod: &PodInfo) -> i64 {
        match wish.role {
            Role::Affinity => i64::from(self.attracts(pod)),
            Role::AntiAffinity => i64::from(wish.means(pod)),
            Role::Preferred(weight) => weight * i64::from(wish.means(pod)),
        }
    }
}

impl Wish {
    /// Whether the term means `pod`.
    pub(super) fn means(&self, pod: &PodInfo) -> bool {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.term.matches(pod, &NONE)
    }
}

/// `term` with the names of the namespaces that it selects. One that selects all of them, or none, stays as it is.
fn with_names(term: &AffinityTerm, snapshot: &Snapshot) -> AffinityTerm {
    let mut term = term.clone();
    if !term.namespace_selector.is_everything() && !term.namespace_selector.is_nothing() {
        let selector = std::mem::replace(&mut term.namespace_selector, Selector::nothing());
        term.namespaces.extend(selected(snapshot, &selector));
    }
    term
}

/// What there is of the pods that are meant.
#[derive(Clone)]
pub(super) struct Incoming {
    wishes: Wishes,
    /// By the number of the term.
    sums: Vec<Sums>,
}

impl Incoming {
    pub(super) fn new(wishes: Wishes) -> Self {
        let sums = wishes.0.iter().map(|_| Sums::default()).collect();
        Self { wishes, sums }
    }

    pub(super) fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    pub(super) fn sums(&self, slot: usize) -> &Sums {
        &self.sums[slot]
    }
}

impl Account for Incoming {
    type Entry = Box<[Posting]>;

    fn put_in(&mut self, node: &NodeInfo) -> Self::Entry {
        let Self { wishes, sums } = self;
        let postings = wishes.iter().zip(sums).filter_map(|((slot, wish), sums)| {
            let value = node.labels().get(&wish.term.topology_key)?;
            let amount = node.pods().iter().map(|pod| wishes.amount(wish, pod)).sum();
            (amount != 0).then(|| sums.post(slot, value, amount))
        });
        postings.collect()
    }

    fn take_out(&mut self, postings: Self::Entry) {
        for posting in postings {
            self.sums[posting.slot].take_back(posting);
        }
    }
}
