use std::{collections::HashSet, time::Duration};

use futures::StreamExt;
use orchestra_core::store::{Event, KeyRange, Revision, StoreError, WatchBatch, WatchStream};

use super::{Subject, Violation, ensure};

/// How long an event that must come is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// A watch whose every batch is checked for what must hold of all: order, no repeats, the range, whole revisions.
pub(super) struct Tail {
    stream: WatchStream,
    range: KeyRange,
    after: Revision,
}

impl Tail {
    pub(super) async fn start(store: &Subject, range: KeyRange, after: Revision) -> Result<Self, Violation> {
        let stream = store.watch(range.clone(), after).await?;
        Ok(Self { stream, range, after })
    }

    /// The revision up to which everything has been delivered.
    pub(super) fn after(&self) -> Revision {
        self.after
    }

    /// The next batch; an error that the store gives is the inner one.
    pub(super) async fn next(&mut self) -> Result<Result<WatchBatch, StoreError>, Violation> {
        let after = self.after;
        let item = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let item = item.map_err(|_| Violation::new(format!("nothing came after revision {after} in {PATIENCE:?}")))?;
        let item =
            item.ok_or_else(|| Violation::new(format!("watch ended without an error after revision {after}")))?;
        if let Ok(batch) = &item {
            self.check(batch)?;
            self.after = batch.revision;
        }
        Ok(item)
    }

    fn check(&self, batch: &WatchBatch) -> Result<(), Violation> {
        let WatchBatch { revision, events } = batch;
        ensure!(*revision >= self.after, "batch of revision {revision} after one of {}", self.after);
        let mut last = self.after + 1;
        let mut seen = HashSet::with_capacity(events.len());
        for event in events {
            let (key, at) = (event.key(), event.revision());
            ensure!(at >= last, "event of {key} at revision {at} comes late: {last} was reached before");
            ensure!(at <= *revision, "event of {key} at revision {at} in a batch that ends at {revision}");
            ensure!(self.range.contains(key), "event of {key}, which is not in the watched {:?}", self.range);
            ensure!(seen.insert((key, at)), "event of {key} at revision {at} comes twice");
            last = at;
        }
        Ok(())
    }

    /// The bare stream.
    pub(super) fn stream(&mut self) -> &mut WatchStream {
        &mut self.stream
    }

    /// All events up to `revision`, which must be of a change in the range.
    pub(super) async fn through(&mut self, revision: Revision) -> Result<Vec<Event>, Violation> {
        let mut events = Vec::new();
        while self.after < revision {
            events.extend(self.next().await??.events);
        }
        Ok(events)
    }

    /// The next `count` events, if nothing else comes with them.
    pub(super) async fn take(&mut self, count: usize) -> Result<Vec<Event>, Violation> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.next().await??.events);
        }
        ensure!(events.len() == count, "{} events where {count} were due: {}", events.len(), summary(&events));
        Ok(events)
    }
}

/// The most events that a message names.
const NAMED: usize = 20;

/// Events as `put a@3 delete b@4`.
pub(super) fn summary(events: &[Event]) -> String {
    let one = |event: &Event| {
        let verb = if matches!(event, Event::Put { .. }) { "put" } else { "delete" };
        format!("{verb} {}@{}", event.key(), event.revision())
    };
    let mut words: Vec<String> = events.iter().take(NAMED).map(one).collect();
    if events.len() > NAMED {
        words.push(format!("and {} more", events.len() - NAMED));
    }
    words.join(" ")
}
