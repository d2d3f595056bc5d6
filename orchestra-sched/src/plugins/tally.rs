//! How much of something the nodes have, by the value of a label: kept from one decision to the next.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use orchestra_core::scheduler::{NodeInfo, Snapshot};

use super::{
    recent::Recent,
    rows::{Account, Rows},
};

/// How many tallies are kept. Each is of the pods of one Deployment, mostly.
const KEPT: usize = 32;

/// What is counted. Equal questions have the same answer for the same node.
pub(super) trait Question: Clone + PartialEq {
    /// The labels by whose values nodes are told apart.
    fn keys(&self) -> Vec<String>;

    /// What `node` adds to its value of the label at `key`; `None` if it is left out.
    fn count(&self, key: usize, node: &NodeInfo) -> Option<u32>;
}

/// The answers to a question in a snapshot.
#[derive(Clone)]
pub(super) struct Tally<Q> {
    answers: Answers<Q>,
    rows: Rows<Vec<Option<Cell>>>,
}

#[derive(Clone)]
struct Answers<Q> {
    question: Q,
    keys: Vec<Key>,
}

/// What a node had, of a value.
#[derive(Clone, Copy)]
struct Cell {
    domain: usize,
    count: u32,
}

/// A label and its values.
#[derive(Clone)]
struct Key {
    label: String,
    by_value: HashMap<String, usize>,
    domains: Vec<Domain>,
    /// Of how many values that nodes have there is so much.
    levels: BTreeMap<i64, usize>,
}

#[derive(Clone, Copy, Default)]
struct Domain {
    nodes: usize,
    count: i64,
}

impl<Q: Question> Tally<Q> {
    fn new(question: Q) -> Self {
        let key = |label| Key { label, by_value: HashMap::new(), domains: Vec::new(), levels: BTreeMap::new() };
        let keys = question.keys().into_iter().map(key).collect();
        Self { answers: Answers { question, keys }, rows: Rows::default() }
    }

    /// What was asked.
    pub(super) fn question(&self) -> &Q {
        &self.answers.question
    }

    /// What there is on the nodes with this value of the label; `None` if no node that counts has it.
    pub(super) fn of_value(&self, key: usize, value: &str) -> Option<i64> {
        let key = &self.answers.keys[key];
        let domain = key.domains[*key.by_value.get(value)?];
        (domain.nodes > 0).then_some(domain.count)
    }

    /// What there is on the node alone; `None` if it does not count.
    pub(super) fn of_node(&self, key: usize, name: &str) -> Option<u32> {
        self.rows.get(name)?[key].map(|cell| cell.count)
    }

    /// As [`of_value`](Self::of_value), if there were these changes.
    pub(super) fn of_value_with(&self, key: usize, value: &str, changes: &Changes) -> Option<i64> {
        let count = self.of_value(key, value)?;
        if changes.0.is_empty() {
            return Some(count);
        }
        let domain = self.answers.keys[key].by_value.get(value)?;
        Some(count + changes.of(key).filter(|change| change.domain == *domain).map(|change| change.by).sum::<i64>())
    }

    /// How many values the label has.
    pub(super) fn number(&self, key: usize) -> usize {
        self.answers.keys[key].levels.values().sum()
    }

    /// The least that there is of a value, if there were these changes; zero if there is no value.
    pub(super) fn least_with(&self, key: usize, changes: &Changes) -> i64 {
        let Key { domains, levels, .. } = &self.answers.keys[key];
        let left = |count: i64| changes.of(key).filter(|change| domains[change.domain].count == count).count();
        let untouched = levels.iter().find(|(count, number)| **number > left(**count)).map(|(count, _)| *count);
        let touched = changes.of(key).map(|change| domains[change.domain].count + change.by);
        touched.chain(untouched).min().unwrap_or(0)
    }

    /// Notes that there would be `by` more on the node called `name`. If it does not count, nothing changes.
    pub(super) fn note(&self, changes: &mut Changes, key: usize, name: &str, by: i64) {
        if let Some(cell) = self.rows.get(name).and_then(|cells| cells[key]) {
            changes.note(Change { key, domain: cell.domain, by });
        }
    }

    /// Looks at the nodes that are not as they were.
    fn update(&mut self, snapshot: &Snapshot) {
        self.rows.update(snapshot, &mut self.answers);
        // Values that no node has any more are kept for nothing.
        if self.answers.keys.iter().any(|key| key.domains.len() > 2 * self.rows.len() + 16) {
            *self = Self::new(self.question().clone());
            self.rows.update(snapshot, &mut self.answers);
        }
    }
}

impl<Q: Question> Account for Answers<Q> {
    type Entry = Vec<Option<Cell>>;

    fn put_in(&mut self, node: &NodeInfo) -> Self::Entry {
        let Self { question, keys } = self;
        let cells = keys.iter_mut().enumerate().map(|(index, key)| {
            let value = node.labels().get(&key.label)?;
            let count = question.count(index, node)?;
            Some(key.put_in(value, count))
        });
        cells.collect()
    }

    fn take_out(&mut self, cells: Self::Entry) {
        for (key, cell) in self.keys.iter_mut().zip(cells) {
            key.take_out(cell);
        }
    }
}

impl Key {
    fn put_in(&mut self, value: &str, count: u32) -> Cell {
        let domain = match self.by_value.get(value) {
            Some(domain) => *domain,
            None => {
                self.domains.push(Domain::default());
                let domain = self.domains.len() - 1;
                self.by_value.insert(value.to_owned(), domain);
                domain
            }
        };
        self.change(domain, |domain| {
            domain.nodes += 1;
            domain.count += i64::from(count);
        });
        Cell { domain, count }
    }

    fn take_out(&mut self, cell: Option<Cell>) {
        if let Some(Cell { domain, count }) = cell {
            self.change(domain, |domain| {
                domain.nodes -= 1;
                domain.count -= i64::from(count);
            });
        }
    }

    fn change(&mut self, domain: usize, change: impl FnOnce(&mut Domain)) {
        let (domain, levels) = (&mut self.domains[domain], &mut self.levels);
        if domain.nodes > 0
            && let Some(number) = levels.get_mut(&domain.count)
        {
            *number -= 1;
            if *number == 0 {
                levels.remove(&domain.count);
            }
        }
        change(domain);
        if domain.nodes > 0 {
            *levels.entry(domain.count).or_default() += 1;
        }
    }
}

/// What would be more or less than a tally has: one decision's own, while the tally is shared. Nothing is left of what was undone.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

#[derive(Clone, Copy)]
struct Change {
    key: usize,
    domain: usize,
    by: i64,
}

impl Changes {
    fn of(&self, key: usize) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(move |change| change.key == key)
    }

    fn note(&mut self, change: Change) {
        match self.0.iter().position(|other| (other.key, other.domain) == (change.key, change.domain)) {
            None => self.0.push(change),
            Some(index) if self.0[index].by == -change.by => drop(self.0.swap_remove(index)),
            Some(index) => self.0[index].by += change.by,
        }
    }
}

/// The tallies of the last questions.
pub(super) struct Tallies<Q>(Recent<Tally<Q>>);

impl<Q: Question> Default for Tallies<Q> {
    fn default() -> Self {
        Self(Recent::new(KEPT))
    }
}

impl<Q: Question> Tallies<Q> {
    /// The answers to `question` in `snapshot`.
    pub(super) fn ask(&self, question: Q, snapshot: &Snapshot) -> Arc<Tally<Q>> {
        let is_wanted = |tally: &Tally<Q>| *tally.question() == question;
        self.0.get(is_wanted, || Tally::new(question.clone()), |tally| tally.update(snapshot))
    }
}
