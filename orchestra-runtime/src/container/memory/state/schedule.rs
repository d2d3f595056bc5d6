use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// What is to happen to a container later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It becomes ready.
    Ready,
    /// It ends with this code.
    Exit(i32),
}

/// Where something stands in the schedule: by time, then by order of adding.
pub(super) type Place = (Instant, u64);

/// What is to happen, in order.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    entries: BTreeMap<Place, (u64, Due)>,
    sequence: u64,
}

impl Schedule {
    pub(super) fn add(&mut self, container: u64, at: Instant, what: Due) -> Place {
        self.sequence += 1;
        let place = (at, self.sequence);
        self.entries.insert(place, (container, what));
        place
    }

    pub(super) fn remove(&mut self, place: &Place) {
        self.entries.remove(place);
    }

    /// When the next thing is to happen.
    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out the first thing that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(u64, Due)> {
        self.entries.first_entry().filter(|entry| entry.key().0 <= now).map(|entry| entry.remove())
    }
}

/// `delay` after `instant`; delays without end are cut to a hundred years.
pub(in crate::container::memory) fn after(instant: Instant, delay: Duration) -> Instant {
    instant + delay.min(Duration::from_secs(100 * 365 * 24 * 3600))
}
