//! What each node adds to a sum, so that the sum follows the cluster and is not made anew for each decision.

use std::sync::Arc;

use orchestra_core::scheduler::{NodeInfo, Snapshot};

/// A sum over nodes that can also do without one that it has counted in.
pub(super) trait Account {
    /// What a node adds.
    type Entry: Clone;

    /// Counts `node` in, and tells how.
    fn put_in(&mut self, node: &NodeInfo) -> Self::Entry;

    /// Undoes what [`put_in`](Self::put_in) has done.
    fn take_out(&mut self, entry: Self::Entry);
}

/// The nodes that were counted in, in order of their names.
#[derive(Clone)]
pub(super) struct Rows<E> {
    rows: Vec<Row<E>>,
    /// The [`Snapshot::generation`] that they are of.
    generation: Option<u64>,
}

/// What a node added when it was looked at.
#[derive(Clone)]
struct Row<E> {
    generation: u64,
    node: Arc<str>,
    entry: E,
}

impl<E> Default for Rows<E> {
    fn default() -> Self {
        Self { rows: Vec::new(), generation: None }
    }
}

impl<E> Rows<E> {
    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What the node called `name` adds.
    pub(super) fn get(&self, name: &str) -> Option<&E> {
        self.position(name).ok().map(|index| &self.rows[index].entry)
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.rows.binary_search_by(|row| (*row.node).cmp(name))
    }

    /// Brings `account` up to date: only nodes that are not as they were are looked at, and where it is known which those are, the others
    /// are not even asked.
    pub(super) fn update(&mut self, snapshot: &Snapshot, account: &mut impl Account<Entry = E>) {
        match self.generation.and_then(|generation| snapshot.changes_since(generation)) {
            Some(names) => names.for_each(|name| self.look_again(name, snapshot, account)),
            None => self.look_at_all(snapshot, account),
        }
        self.generation = Some(snapshot.generation());
    }

    fn look_again(&mut self, name: &str, snapshot: &Snapshot, account: &mut impl Account<Entry = E>) {
        match (self.position(name), snapshot.get_with_generation(name)) {
            (Ok(index), Some((generation, node))) => {
                let row = &mut self.rows[index];
                if row.generation != generation {
                    let new = Row { generation, node: node.name().clone(), entry: account.put_in(node) };
                    account.take_out(std::mem::replace(row, new).entry);
                }
            }
            (Ok(index), None) => account.take_out(self.rows.remove(index).entry),
            (Err(index), Some((generation, node))) => {
                let entry = account.put_in(node);
                self.rows.insert(index, Row { generation, node: node.name().clone(), entry });
            }
            (Err(_), None) => {}
        }
    }

    fn look_at_all(&mut self, snapshot: &Snapshot, account: &mut impl Account<Entry = E>) {
        let mut old = std::mem::take(&mut self.rows).into_iter().peekable();
        self.rows.reserve(snapshot.len());
        for (generation, node) in snapshot.generations() {
            while let Some(gone) = old.next_if(|row| row.node < *node.name()) {
                account.take_out(gone.entry);
            }
            let row = match old.next_if(|row| row.node == *node.name()) {
                Some(row) if row.generation == generation => row,
                other => {
                    let entry = account.put_in(node);
                    if let Some(row) = other {
                        account.take_out(row.entry);
                    }
                    Row { generation, node: node.name().clone(), entry }
                }
            };
            self.rows.push(row);
        }
        old.for_each(|gone| account.take_out(gone.entry));
    }
}

/// An account together with what it is made of.
#[derive(Clone)]
pub(super) struct Ledger<A: Account> {
    account: A,
    rows: Rows<A::Entry>,
}

impl<A: Account> Ledger<A> {
    /// Nothing has been counted in yet.
    pub(super) fn new(account: A) -> Self {
        Self { account, rows: Rows::default() }
    }

    /// The account, as of the last update.
    pub(super) fn account(&self) -> &A {
        &self.account
    }

    /// Looks at the nodes that are not as they were.
    pub(super) fn update(&mut self, snapshot: &Snapshot) {
        self.rows.update(snapshot, &mut self.account);
    }
}
