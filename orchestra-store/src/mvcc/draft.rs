use std::collections::HashMap;

use orchestra_core::store::{Key, KeyValue, Revision, StoreError, Transaction};

use super::{
    State,
    write::{Put, Write, check},
};

/// Transactions judged one after the other on top of a state that has none of them yet, because they are to be durable first.
pub(crate) struct Draft<'a> {
    state: &'a State,
    revision: Revision,
    changed: HashMap<Key, Option<KeyValue>>,
}

/// One revision of a [`Draft`].
pub(crate) struct Drafted {
    pub(crate) revision: Revision,
    /// Never empty; every delete is of a key that is there.
    pub(crate) writes: Vec<DraftedWrite>,
}

/// A write, and when its key was created; 0 for a delete.
pub(crate) struct DraftedWrite {
    pub(crate) write: Write,
    pub(crate) create_revision: Revision,
}

impl<'a> Draft<'a> {
    /// With room for as many changes of keys as are expected.
    pub(crate) fn new(state: &'a State, expected: usize) -> Self {
        Self { state, revision: state.revision(), changed: HashMap::with_capacity(expected) }
    }

    /// The revision of the last transaction.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Deletes what is past its time to live in the state.
    pub(crate) fn expire(&mut self) -> Vec<Drafted> {
        self.state.due().into_iter().filter_map(|deletions| self.write(deletions)).collect()
    }

    /// `None` for a transaction that changes nothing.
    pub(crate) fn commit(&mut self, transaction: Transaction) -> Result<Option<Drafted>, StoreError> {
        let operations = transaction.into_operations();
        check(&operations, |key| self.latest(key))?;
        Ok(self.write(operations.into_iter().filter_map(Write::of)))
    }

    fn latest(&self, key: &str) -> Option<KeyValue> {
        self.changed.get(key).cloned().unwrap_or_else(|| self.state.latest(key))
    }

    /// When the key was created, if it is there.
    fn created(&self, key: &str) -> Option<Revision> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref().map(|entry| entry.create_revision),
            None => self.state.created(key),
        }
    }

    fn write(&mut self, writes: impl IntoIterator<Item = Write>) -> Option<Drafted> {
        let revision = self.revision + 1;
        let mut drafted = Vec::new();
        for write in writes {
            let created = self.created(&write.key);
            let now = match &write.put {
                Some(Put { value, .. }) => Some(KeyValue {
                    key: Key::clone(&write.key),
                    value: value.clone(),
                    create_revision: created.unwrap_or(revision),
                    mod_revision: revision,
                }),
                None if created.is_none() => continue,
                None => None,
            };
            let create_revision = now.as_ref().map_or(0, |now| now.create_revision);
            self.changed.insert(Key::clone(&write.key), now);
            drafted.push(DraftedWrite { write, create_revision });
        }
        if drafted.is_empty() {
            return None;
        }
        self.revision = revision;
        Some(Drafted { revision, writes: drafted })
    }
}
