//! Where state lives: [`Store`], an MVCC key-value store of bytes, and [`Watcher`], its feed of changes.
//!
//! The shape is the part of etcd's that Kubernetes relies on: one global [`Revision`] that grows by one with every
//! committed [`Transaction`], reads at any revision that is still kept, compare-and-set writes over several keys, and
//! watches that resume after a revision without gap or repeat. Keys are Kubernetes' own layout
//! (`/registry/pods/default/nginx`), values are opaque bytes (JSON, by convention of the API server).
//!
//! All types can be written and read with serde; values are texts there where they are UTF-8.
//!
//! Every implementation runs the one contract suite in `orchestra_store::contract`.

mod readable;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// A point in the store's history. Each commit adds one; a store that was never written to is at `0`, or at `1` as etcd's.
pub type Revision = u64;

/// A key. Cheap to clone; ordered by its bytes.
pub type Key = Arc<str>;

/// One key with its value, as of some revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// The value that was put.
    #[serde(with = "readable")]
    pub value: Bytes,
    /// Revision at which the key was created (since it was last absent).
    pub create_revision: Revision,
    /// Revision of the last change of this key. What [`Precondition::Unchanged`] compares with.
    pub mod_revision: Revision,
}

/// The half-open interval of keys `start <= key < end`.
///
/// ```
/// use orchestra_core::store::KeyRange;
/// let pods = KeyRange::prefix("/registry/pods/");
/// assert!(pods.contains("/registry/pods/default/nginx"));
/// assert!(!pods.contains("/registry/podtemplates/default/nginx"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    start: Key,
    end: Option<Key>,
}

impl KeyRange {
    /// All keys that begin with `prefix`; every key if it is empty.
    pub fn prefix(prefix: &str) -> Self {
        // The successor of a prefix adds one to its last character, carrying over characters that have no successor.
        let mut end: Vec<char> = prefix.chars().collect();
        while let Some(last) = end.pop() {
            let successor = match last {
                '\u{d7ff}' => Some('\u{e000}'),
                c => char::from_u32(c as u32 + 1),
            };
            if let Some(next) = successor {
                end.push(next);
                return Self { start: prefix.into(), end: Some(end.into_iter().collect::<String>().into()) };
            }
        }
        Self { start: prefix.into(), end: None }
    }

    /// Exactly one key.
    pub fn single(key: &str) -> Self {
        Self { start: key.into(), end: Some(format!("{key}\0").into()) }
    }

    /// `start <= key < end`, or every key from `start` on where `end` is `None`.
    pub fn between(start: impl Into<Key>, end: Option<Key>) -> Self {
        Self { start: start.into(), end }
    }

    /// The first key that may be in the range.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// The first key after the range, or `None` where it has no upper end.
    pub fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &str) -> bool {
        key >= &*self.start && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Whether every key of `other` lies in the range, as their ends tell.
    ///
    /// ```
    /// use orchestra_core::store::KeyRange;
    /// let all = KeyRange::prefix("/registry/");
    /// assert!(all.covers(&KeyRange::prefix("/registry/pods/")));
    /// assert!(!all.covers(&KeyRange::between("/registry/pods/", None)));
    /// ```
    pub fn covers(&self, other: &Self) -> bool {
        let ends_within = match (self.end(), other.end()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(other)) => other <= end,
        };
        other.start >= self.start && ends_within
    }
}

/// Which state a read sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadAt {
    /// The newest committed state: linearizable, it includes every commit acknowledged before the call.
    #[default]
    Latest,
    /// Exactly the state just after this revision was committed.
    Revision(Revision),
}

/// What to read in [`Store::list`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOptions {
    /// The state to read.
    pub at: ReadAt,
    /// The most entries to return; `None` for all. Zero is an [`StoreError::InvalidArgument`].
    pub limit: Option<usize>,
    /// Continue after this key (exclusive): the last key of the page before. Pass the page's revision as `at`.
    pub after: Option<Key>,
}

/// One page of a [`Store::list`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The entries in key order.
    pub entries: Vec<KeyValue>,
    /// The revision that was read, also when nothing was found. Never zero-copied from the request: for
    /// [`ReadAt::Latest`] it is the store's revision at the time of the read.
    pub revision: Revision,
    /// How many entries of the range follow this page at the same revision; zero on the last page.
    pub remaining: usize,
}

/// What must hold of a key for a [`Transaction`] to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// Nothing.
    None,
    /// The key does not exist.
    Absent,
    /// The key exists.
    Exists,
    /// The key exists and its `mod_revision` is this.
    Unchanged(Revision),
}

impl Precondition {
    /// Whether it holds of a key that is `current`ly this.
    pub fn holds(self, current: Option<&KeyValue>) -> bool {
        match self {
            Self::None => true,
            Self::Absent => current.is_none(),
            Self::Exists => current.is_some(),
            Self::Unchanged(revision) => current.is_some_and(|current| current.mod_revision == revision),
        }
    }
}

/// What a [`Transaction`] does to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Only the precondition is checked.
    Nothing,
    /// Set the value. With `ttl`, the key is deleted by the store that long after this commit: not before, and at most
    /// five seconds late while the store is running, since etcd's leases have whole seconds, two at least, and are
    /// looked after twice a second. A later put replaces or, with `None`, removes the time-to-live.
    Put {
        /// The new value.
        #[serde(with = "readable")]
        value: Bytes,
        /// Time to live.
        ttl: Option<Duration>,
    },
    /// Remove the key. Removing an absent key changes nothing.
    Delete,
}

/// One key's part in a [`Transaction`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The key, not empty.
    pub key: Key,
    /// What must hold.
    pub precondition: Precondition,
    /// What is done.
    pub change: Change,
}

/// Changes that are made all at one revision, or not at all.
///
/// ```
/// use orchestra_core::store::{Precondition, Transaction};
/// let swap = Transaction::new()
///     .put("/registry/a", "1", Precondition::Absent)
///     .delete("/registry/b", Precondition::Unchanged(7));
/// assert_eq!(swap.operations().len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    operations: Vec<Operation>,
}

impl Transaction {
    /// An empty transaction; committing it changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put.
    #[must_use]
    pub fn put(self, key: impl Into<Key>, value: impl Into<Bytes>, precondition: Precondition) -> Self {
        self.with(Operation { key: key.into(), precondition, change: Change::Put { value: value.into(), ttl: None } })
    }

    /// Adds a put that expires.
    #[must_use]
    pub fn put_with_ttl(
        self,
        key: impl Into<Key>,
        value: impl Into<Bytes>,
        precondition: Precondition,
        ttl: Duration,
    ) -> Self {
        let change = Change::Put { value: value.into(), ttl: Some(ttl) };
        self.with(Operation { key: key.into(), precondition, change })
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(self, key: impl Into<Key>, precondition: Precondition) -> Self {
        self.with(Operation { key: key.into(), precondition, change: Change::Delete })
    }

    /// Adds a check that changes nothing.
    #[must_use]
    pub fn check(self, key: impl Into<Key>, precondition: Precondition) -> Self {
        self.with(Operation { key: key.into(), precondition, change: Change::Nothing })
    }

    /// Adds any operation. A key may occur once only; [`Store::commit`] refuses a repeat.
    #[must_use]
    pub fn with(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// The operations, in the order they were added.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Takes the operations out.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }
}

/// A change of one key, as a watch reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The key was created or its value set.
    Put {
        /// The key with its new value; `current.mod_revision` is the event's revision.
        current: KeyValue,
        /// What it was before; `None` when it was created.
        previous: Option<KeyValue>,
    },
    /// The key was deleted, or expired.
    Delete {
        /// The last value.
        previous: KeyValue,
        /// The revision of the deletion.
        revision: Revision,
    },
}

impl Event {
    /// The revision of the change.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put { current, .. } => current.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// The changed key.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { current, .. } => &current.key,
            Self::Delete { previous, .. } => &previous.key,
        }
    }
}

/// A run of changes that a watch delivers at once.
///
/// `events` are in revision order and hold every change of the watched range up to and including `revision` that
/// was not delivered before. A transaction is never split over two batches. A batch without events is a progress
/// notification: nothing happened in the range up to `revision`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchBatch {
    /// Where to resume: `watch(range, revision)` continues right after this batch.
    pub revision: Revision,
    /// The changes.
    pub events: Vec<Event>,
}

/// The feed of one watch. It ends only after an error item, or when the store is closed.
pub type WatchStream = BoxStream<'static, Result<WatchBatch, StoreError>>;

/// What went wrong in a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StoreError {
    /// A precondition did not hold; nothing was changed.
    #[error("precondition {expected:?} of key {key} does not hold")]
    Conflict {
        /// The first key, in the transaction's order, whose precondition failed.
        key: Key,
        /// What was asked.
        expected: Precondition,
        /// What is there instead.
        current: Option<KeyValue>,
    },
    /// The revision is older than what compaction left. List again and watch from the list's revision.
    #[error("revision {requested} has been compacted, the oldest kept is {oldest}")]
    Compacted {
        /// The revision asked for.
        requested: Revision,
        /// The oldest revision that can still be read. A watch may start after it or later, in some stores also after
        /// `oldest - 1`; etcd no longer has the values that were before the event at `oldest`.
        oldest: Revision,
    },
    /// The revision has not happened yet.
    #[error("revision {requested} is in the future, the newest is {current}")]
    FutureRevision {
        /// The revision asked for.
        requested: Revision,
        /// The newest revision.
        current: Revision,
    },
    /// A watcher did not read fast enough and was ended; it may watch again from the last revision that it saw.
    #[error("watch fell too far behind at revision {revision}")]
    SlowWatcher {
        /// The last revision delivered to it.
        revision: Revision,
    },
    /// The request makes no sense whatever the state: an empty key, a key twice in a transaction, a limit of zero.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The store cannot be reached or is shutting down; nothing was changed. Trying again may help.
    #[error("store is unavailable: {0}")]
    Unavailable(String),
    /// There is no room for the commit; nothing was changed. Reads go on, and commits once there is room again.
    #[error("store has no room: {0}")]
    NoSpace(String),
    /// The connection was lost after the commit had been sent: it may or may not have happened. Read back to know.
    #[error("outcome of the commit is unknown: {0}")]
    OutcomeUnknown(String),
    /// The store refuses this client: a wrong password, a permission that is missing. Nothing was changed.
    #[error("store refuses the client: {0}")]
    Unauthorized(String),
    /// What was read is not what was written, or not in a format that is understood.
    #[error("corrupt data at key {key}: {reason}")]
    Corrupt {
        /// The key.
        key: Key,
        /// What is wrong.
        reason: String,
    },
}

/// The feed of changes of a [`Store`].
///
/// # Contract
/// - [`watch`](Watcher::watch)`(range, after)` delivers every change in `range` with a revision greater than `after`:
///   in revision order, each exactly once, none missing; all changes of one revision in one batch, in the order of the
///   transaction's operations.
/// - When `after` is older than compaction allows the call fails with [`StoreError::Compacted`]; when it is newer than
///   the store's revision, with [`StoreError::FutureRevision`].
/// - A watch that has begun is not hurt by a later compaction unless it lags behind it.
/// - A watcher that does not keep up costs bounded memory: it gets [`StoreError::SlowWatcher`] (or
///   [`StoreError::Compacted`]) and its stream ends. It never misses an event silently.
/// - Dropping the stream ends the watch.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Watcher: Send + Sync + 'static {
    /// Starts a watch of `range` for the changes after revision `after`.
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError>;
}

/// An MVCC key-value store of bytes.
///
/// # Contract
/// - [`commit`](Store::commit) is atomic and linearizable: either all of a transaction happens, at one new revision,
///   or nothing does. An acknowledged commit is seen by every later [`ReadAt::Latest`].
/// - A transaction that changes nothing (no operations, checks only, deletes of absent keys) commits without a new
///   revision and returns the current one. A put of an equal value is a change.
/// - Reads at [`ReadAt::Revision`] see exactly that state, whatever was committed since, until it is compacted; so the pages of
///   a list at one revision are one consistent snapshot.
/// - A key whose time-to-live has passed is deleted by the store, at a revision that it shares at most with keys that expire
///   together with it; watchers see an [`Event::Delete`]. From then on no read at [`ReadAt::Latest`] returns it.
/// - After [`compact`](Store::compact)`(r)` reads at revisions before `r` fail with [`StoreError::Compacted`], and so do
///   watches from before `r - 1`; the state at `r` and all later history stay readable.
///
/// # Example
/// ```
/// # use orchestra_core::store::*;
/// async fn rename(store: &dyn Store, from: &str, to: &str) -> Result<Revision, StoreError> {
///     let Some(entry) = store.get(from, ReadAt::Latest).await? else { return store.revision().await };
///     let swap = Transaction::new()
///         .put(to, entry.value, Precondition::Absent)
///         .delete(from, Precondition::Unchanged(entry.mod_revision));
///     store.commit(swap).await
/// }
/// ```
#[async_trait]
pub trait Store: Watcher {
    /// Reads one key, which must not be empty; `None` if it does not exist in that state.
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError>;

    /// Reads the keys of `range` in order.
    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError>;

    /// Commits `transaction` and returns its revision (for one that changes nothing: the current revision).
    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError>;

    /// The newest revision: linearizable, not older than any commit acknowledged before the call.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Forgets history before `revision`. One that is already compacted is no error; a future one is.
    async fn compact(&self, revision: Revision) -> Result<(), StoreError>;
}

#[cfg(feature = "mocks")]
mockall::mock! {
    /// A [`Store`] that answers as it is told to.
    pub Store {}

    #[async_trait]
    impl Watcher for Store {
        async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError>;
    }

    #[async_trait]
    impl Store for Store {
        async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError>;
        async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError>;
        async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError>;
        async fn revision(&self) -> Result<Revision, StoreError>;
        async fn compact(&self, revision: Revision) -> Result<(), StoreError>;
    }
}
