//! What a store is, without concurrency: the reference that histories are judged by.

use std::{collections::BTreeMap, fmt};

use orchestra_core::store::{
    Change, Key, KeyRange, KeyValue, ListOptions, Operation, Precondition, ReadAt, Revision, Store, StoreError,
    Transaction,
};
use stateright::semantics::SequentialSpec;

/// The state of a store between two calls.
#[derive(Clone, Debug)]
pub(super) struct Specification {
    revision: Revision,
    keys: BTreeMap<Key, KeyValue>,
}

/// A call of a store, at the latest state.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Get(Key),
    List(KeyRange),
    Revision,
    Commit(Transaction),
}

/// What a call that succeeds tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Entry(Option<KeyValue>),
    Page(Vec<KeyValue>, Revision),
    Revision(Revision),
}

pub(super) type Answer = Result<Told, StoreError>;

impl Call {
    pub(super) async fn make(&self, store: &dyn Store) -> Answer {
        Ok(match self {
            Self::Get(key) => Told::Entry(store.get(key, ReadAt::Latest).await?),
            Self::List(range) => {
                let page = store.list(range, ListOptions::default()).await?;
                Told::Page(page.entries, page.revision)
            }
            Self::Revision => Told::Revision(store.revision().await?),
            Self::Commit(transaction) => Told::Revision(store.commit(transaction.clone()).await?),
        })
    }
}

impl Specification {
    /// A store at `revision` that has none of the keys that calls are about.
    pub(super) fn empty_at(revision: Revision) -> Self {
        Self { revision, keys: BTreeMap::new() }
    }

    fn commit(&mut self, operations: &[Operation]) -> Answer {
        for Operation { key, precondition, .. } in operations {
            let current = self.keys.get(key);
            let holds = match precondition {
                Precondition::None => true,
                Precondition::Absent => current.is_none(),
                Precondition::Exists => current.is_some(),
                Precondition::Unchanged(revision) => current.is_some_and(|current| current.mod_revision == *revision),
            };
            if !holds {
                let (key, expected) = (Key::clone(key), *precondition);
                return Err(StoreError::Conflict { key, expected, current: current.cloned() });
            }
        }
        let next = self.revision + 1;
        for Operation { key, change, .. } in operations {
            match change {
                Change::Nothing => {}
                Change::Put { value, .. } => {
                    let create_revision = self.keys.get(key).map_or(next, |current| current.create_revision);
                    let (value, mod_revision) = (value.clone(), next);
                    let entry = KeyValue { key: Key::clone(key), value, create_revision, mod_revision };
                    self.keys.insert(Key::clone(key), entry);
                    self.revision = next;
                }
                Change::Delete => {
                    if self.keys.remove(key).is_some() {
                        self.revision = next;
                    }
                }
            }
        }
        Ok(Told::Revision(self.revision))
    }
}

impl SequentialSpec for Specification {
    type Op = Call;
    type Ret = Answer;

    fn invoke(&mut self, call: &Call) -> Answer {
        match call {
            Call::Get(key) => Ok(Told::Entry(self.keys.get(key).cloned())),
            Call::List(range) => {
                let entries = self.keys.values().filter(|entry| range.contains(&entry.key)).cloned().collect();
                Ok(Told::Page(entries, self.revision))
            }
            Call::Revision => Ok(Told::Revision(self.revision)),
            Call::Commit(transaction) => self.commit(transaction.operations()),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(key) => write!(f, "get {key}"),
            Self::List(range) => write!(f, "list {}", range.start()),
            Self::Revision => f.write_str("revision"),
            Self::Commit(transaction) => {
                f.write_str("commit")?;
                for Operation { key, precondition, change } in transaction.operations() {
                    match change {
                        Change::Nothing => write!(f, " [check {key}")?,
                        Change::Put { value, .. } => write!(f, " [put {key}={}", String::from_utf8_lossy(value))?,
                        Change::Delete => write!(f, " [delete {key}")?,
                    }
                    write!(f, " if {precondition:?}]")?;
                }
                Ok(())
            }
        }
    }
}

/// `answer` in few words.
pub(super) fn in_words(answer: &Answer) -> String {
    let entry =
        |entry: &KeyValue| format!("{}={}@{}", entry.key, String::from_utf8_lossy(&entry.value), entry.mod_revision);
    match answer {
        Ok(Told::Entry(None)) => "nothing".to_owned(),
        Ok(Told::Entry(Some(found))) => entry(found),
        Ok(Told::Page(entries, revision)) => {
            format!("{:?} at {revision}", entries.iter().map(entry).collect::<Vec<_>>())
        }
        Ok(Told::Revision(revision)) => revision.to_string(),
        Err(StoreError::Conflict { key, current, .. }) => {
            format!("conflict at {key}: {}", current.as_ref().map_or("nothing".to_owned(), entry))
        }
        Err(error) => error.to_string(),
    }
}
