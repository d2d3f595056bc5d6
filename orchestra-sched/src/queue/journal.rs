use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use orchestra_core::scheduler::ClusterEvent;

/// The events since the oldest attempt in flight began: what an attempt did not see must not be lost to it.
#[derive(Default)]
pub(super) struct Journal {
    /// With the pod that brought it about by giving its node up.
    events: VecDeque<(Option<Arc<str>>, ClusterEvent)>,
    /// The number of the first event that is kept.
    first: u64,
    /// How many attempts began at which event.
    open: BTreeMap<u64, usize>,
}

impl Journal {
    /// An attempt begins; returns the number of the first event that it does not see.
    pub(super) fn open(&mut self) -> u64 {
        let next = self.first + self.events.len() as u64;
        *self.open.entry(next).or_default() += 1;
        next
    }

    /// An attempt that began at `since` is over.
    pub(super) fn close(&mut self, since: u64) {
        if let Some(count) = self.open.get_mut(&since) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&since);
            }
        }
        let oldest = self.open.keys().next().copied().unwrap_or(u64::MAX);
        while self.first < oldest && self.events.pop_front().is_some() {
            self.first += 1;
        }
    }

    pub(super) fn record(&mut self, cause: Option<&str>, event: ClusterEvent) {
        if !self.open.is_empty() {
            self.events.push_back((cause.map(Arc::from), event));
        }
    }

    /// The events from number `since` on that the pod called `id` did not bring about itself.
    pub(super) fn since<'a>(&'a self, since: u64, id: &'a str) -> impl Iterator<Item = &'a ClusterEvent> {
        let skip = usize::try_from(since.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let others = self.events.iter().skip(skip).filter(move |(cause, _)| cause.as_deref() != Some(id));
        others.map(|(_, event)| event)
    }
}
