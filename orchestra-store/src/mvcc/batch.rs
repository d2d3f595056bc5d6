use orchestra_core::store::{Event, Key, KeyRange, KeyValue, Revision, StoreError};
use smallvec::SmallVec;

/// Events of one revision. Most revisions have one, which takes no room of its own.
pub(crate) type Events = SmallVec<[Event; 1]>;

/// All changes of one revision.
pub(crate) struct Batch {
    pub(crate) revision: Revision,
    pub(crate) events: Events,
    /// Changes that cannot be told, as others wrote them in a way that is not understood. They end the watches of their range.
    pub(crate) unreadable: Vec<Unreadable>,
}

/// A key whose change cannot be told.
#[derive(Clone)]
pub(crate) struct Unreadable {
    pub(crate) key: Key,
    pub(crate) reason: String,
}

impl From<Unreadable> for StoreError {
    fn from(Unreadable { key, reason }: Unreadable) -> Self {
        Self::Corrupt { key, reason }
    }
}

impl Batch {
    pub(crate) fn new(revision: Revision, events: Events) -> Self {
        Self { revision, events, unreadable: Vec::new() }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.events.iter().map(Event::key).chain(self.unreadable.iter().map(|change| &change.key))
    }

    pub(super) fn touches(&self, range: &KeyRange) -> bool {
        self.keys().any(|key| range.contains(key))
    }

    /// The changes of `range`, or the error for that one of them cannot be told.
    pub(crate) fn changes(&self, range: &KeyRange) -> Result<impl Iterator<Item = &Event>, StoreError> {
        match self.unreadable.iter().find(|change| range.contains(&change.key)) {
            Some(change) => Err(change.clone().into()),
            None => Ok(self.events.iter().filter(|event| range.contains(event.key()))),
        }
    }

    /// The bytes of the values that the batch holds on to: the new ones, and those before.
    pub(super) fn bytes(&self) -> usize {
        let before = |previous: &KeyValue| previous.value.len();
        let values = |event: &Event| match event {
            Event::Put { current, previous } => current.value.len() + previous.as_ref().map_or(0, before),
            Event::Delete { previous, .. } => before(previous),
        };
        self.events.iter().map(values).sum()
    }
}
