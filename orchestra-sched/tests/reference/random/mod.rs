//! Nodes, pods and namespaces made of numbers.

mod affinity;
mod node;
mod pod;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;

pub(crate) use self::{
    node::node,
    pod::{labels, pod},
};

/// The names that objects have, so that they meet.
pub(crate) const NAMESPACES: [&str; 2] = ["red", "blue"];
const APPS: [&str; 3] = ["web", "api", "db"];
const ZONES: [&str; 3] = ["a", "b", "c"];
const KEYS: [&str; 3] = ["zone", "rack", "kubernetes.io/hostname"];

/// A number that is taken apart choice by choice. When it is used up, zero is all that is left, which is always the plainest choice: so a
/// small number is a plain object, and a case that fails shrinks to plain ones.
pub(crate) struct Dice(u128);

impl Dice {
    pub(crate) fn new(number: u128) -> Self {
        Self(number)
    }

    /// One of `0..sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        let sides = sides as u128;
        let face = self.0 % sides;
        self.0 /= sides;
        usize::try_from(face).expect("less than the sides")
    }

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.roll(times) == times - 1
    }

    fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())]
    }

    /// None of them first.
    fn maybe<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        self.roll(choices.len() + 1).checked_sub(1).map(|index| choices[index])
    }
}

/// A namespace with labels or without.
pub(crate) fn namespace(name: &str, dice: &mut Dice) -> Namespace {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespace.metadata.labels = dice.maybe(&["a", "b"]).map(|team| strings(&[("team", team)]));
    namespace
}

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
