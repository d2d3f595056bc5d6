//! Changes that come into force together.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
    time::Duration,
};

use super::{
    super::Family,
    element::{Key, SetName, Value},
    names::TABLE,
};

/// Commands that come into force together, in an order in which each finds what it needs, in whatever order they were put in.
///
/// They are one run of `nft -f -`, which is one transaction of the kernel's (all or nothing), or two where there are chains that nothing led to
/// before. A packet sees the chains of the generation in which it began, and the elements of the generation in which it looks them up. So what
/// a new element leads to has to be there one transaction earlier.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// New tables: what is in them has no earlier generation.
    tables: String,
    /// What nothing leads to yet.
    ahead: Chains,
    chains: Chains,
    /// The elements that go and those that come, by map.
    gone: BTreeMap<(Family, SetName), String>,
    come: BTreeMap<(Family, SetName), String>,
    /// Chains that go.
    deleted: String,
}

/// Commands about chains and the sets that only they name.
#[derive(Debug, Default)]
pub(super) struct Chains {
    declared: String,
    flushed: String,
    sets: String,
    rules: String,
}

impl Chains {
    /// A chain with these rules and no other, whether it is there or not.
    pub(super) fn chain(&mut self, family: Family, name: &str, rules: &[String]) {
        line(&mut self.declared, format_args!("add chain {family} {TABLE} {name}"));
        self.flush(family, name);
        for rule in rules {
            line(&mut self.rules, format_args!("add rule {family} {TABLE} {name} {rule}"));
        }
    }

    /// A chain without rules.
    pub(super) fn flush(&mut self, family: Family, name: &str) {
        line(&mut self.flushed, format_args!("flush chain {family} {TABLE} {name}"));
    }

    /// A set of clients that stay for `timeout` after their last connection.
    pub(super) fn affinity_set(&mut self, family: Family, name: &str, timeout: Duration) {
        let (kind, seconds) = (family.data_type(), timeout.as_secs());
        line(
            &mut self.sets,
            format_args!(
                "add set {family} {TABLE} {name} {{ type {kind}; flags dynamic,timeout; timeout {seconds}s; }}"
            ),
        );
    }

    /// A set of clients goes.
    pub(super) fn delete_affinity_set(&mut self, family: Family, name: &str) {
        line(&mut self.sets, format_args!("delete set {family} {TABLE} {name}"));
    }

    fn finish(self) -> String {
        self.declared + &self.flushed + &self.sets + &self.rules
    }
}

impl Transaction {
    /// Commands that make tables.
    pub(super) fn declare(&mut self, commands: &str) {
        self.tables.push_str(commands);
    }

    /// Chains and sets that nothing in force leads to.
    pub(super) fn ahead(&mut self) -> &mut Chains {
        &mut self.ahead
    }

    /// Chains and sets that may be in use.
    pub(super) fn chains(&mut self) -> &mut Chains {
        &mut self.chains
    }

    /// A chain goes; nothing leads to it.
    pub(super) fn delete_chain(&mut self, family: Family, name: &str) {
        self.chains.flush(family, name);
        line(&mut self.deleted, format_args!("delete chain {family} {TABLE} {name}"));
    }

    /// An element comes. Verdicts say in a comment whose they are.
    pub(super) fn add(&mut self, family: Family, set: SetName, key: &Key, value: &Value, whose: &dyn Display) {
        let elements = self.come.entry((family, set)).or_default();
        let separator = if elements.is_empty() { "" } else { ", " };
        // A String takes all that is written to it.
        let _ = match value {
            Value::Goto(_) | Value::Drop => {
                // nft takes no longer comment.
                let whose: String = whose.to_string().chars().take(120).collect();
                write!(elements, "{separator}{key} comment \"{whose}\"{value}")
            }
            Value::Member | Value::Endpoint(_) => write!(elements, "{separator}{key}{value}"),
        };
    }

    /// An element goes.
    pub(super) fn delete(&mut self, family: Family, set: SetName, key: &Key) {
        let elements = self.gone.entry((family, set)).or_default();
        let separator = if elements.is_empty() { "" } else { ", " };
        let _ = write!(elements, "{separator}{key}");
    }

    /// All commands, by run of the program; none if there is nothing to do.
    pub(super) fn finish(self) -> Vec<String> {
        let mut text = self.chains.finish();
        for (verb, elements) in [("delete", self.gone), ("add", self.come)] {
            for ((family, set), elements) in elements {
                line(&mut text, format_args!("{verb} element {family} {TABLE} {set} {{ {elements} }}"));
            }
        }
        let (ahead, text) = (self.ahead.finish(), text + &self.deleted);
        let runs = if self.tables.is_empty() { vec![ahead, text] } else { vec![self.tables + &ahead + &text] };
        runs.into_iter().filter(|run| !run.is_empty()).collect()
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}
