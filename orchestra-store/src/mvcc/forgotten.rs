use std::{hint::black_box, sync::Arc};

use orchestra_core::store::{Event, KeyValue};

use super::Batch;

/// What is no longer kept, but there until this is dropped. By then nobody has touched it for long, and what it supersedes for much
/// longer: it is far away. To drop it is to wait for one place in memory after the other, so it is dropped many together, and all the
/// places are asked for before.
#[derive(Default)]
pub(crate) struct Forgotten {
    batches: Vec<Arc<Batch>>,
    /// The same, as others kept them.
    others: Vec<Arc<Batch>>,
    bytes: usize,
}

impl Forgotten {
    /// How many batches are worth being dropped: by then the processor waits for several at once all the time.
    const MANY: usize = 32;
    /// How many bytes are, however few batches they are of.
    const MUCH: usize = 256 << 10;

    /// Adds a batch, with `bytes` bytes of values.
    pub(super) fn push(&mut self, batch: Arc<Batch>, bytes: usize) {
        if self.batches.capacity() == 0 {
            self.batches.reserve(Self::MANY);
            self.others.reserve(Self::MANY);
        }
        self.batches.push(batch);
        self.bytes += bytes;
    }

    /// Adds what else kept a batch that was added.
    pub(super) fn push_other(&mut self, batch: Arc<Batch>) {
        self.others.push(batch);
    }

    /// Whether it is worth being dropped.
    pub(super) fn is_much(&self) -> bool {
        self.batches.len() >= Self::MANY || self.bytes >= Self::MUCH
    }

    /// Reads of everything that is dropped with it. No read waits for another of the same step.
    fn touch(&self) -> usize {
        let events = || self.batches.iter().flat_map(|batch| &batch.events);
        let lengths: usize = self.batches.iter().map(|batch| batch.events.len()).sum();
        let keys: usize = events().map(|event| Arc::strong_count(event.key())).sum();
        let shared = |entry: &KeyValue| usize::from(entry.value.is_unique());
        let owned = |entry: &KeyValue| shared(entry) + entry.value.first().map_or(0, |byte| usize::from(*byte));
        let values = events().map(|event| match event {
            Event::Put { current, previous } => shared(current) + previous.as_ref().map_or(0, owned),
            Event::Delete { previous, .. } => owned(previous),
        });
        lengths + keys + values.sum::<usize>()
    }
}

impl Drop for Forgotten {
    fn drop(&mut self) {
        black_box(self.touch());
    }
}
