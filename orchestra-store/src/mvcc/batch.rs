use orchestra_core::store::{Event, KeyRange, Revision};

/// All changes of one revision.
pub(crate) struct Batch {
    pub(crate) revision: Revision,
    pub(crate) events: Vec<Event>,
}

impl Batch {
    pub(super) fn touches(&self, range: &KeyRange) -> bool {
        self.events.iter().any(|event| range.contains(event.key()))
    }

    /// The bytes of the values that the batch brought.
    pub(super) fn bytes(&self) -> usize {
        let value = |event: &Event| match event {
            Event::Put { current, .. } => current.value.len(),
            Event::Delete { .. } => 0,
        };
        self.events.iter().map(value).sum()
    }
}
