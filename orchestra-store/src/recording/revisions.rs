//! The revisions in a step, so that a trace can be compared with one that starts elsewhere.

use orchestra_core::store::{Event, KeyValue, Precondition, ReadAt, Revision, StoreError, Transaction};

use super::trace::Step;

impl Step {
    /// The step with each revision changed.
    pub(super) fn map_revisions(mut self, change: &impl Fn(Revision) -> Revision) -> Self {
        match &mut self {
            Self::Get { at, answer, .. } => {
                read_at(at, change);
                match answer {
                    Ok(entry) => entry.iter_mut().for_each(|entry| key_value(entry, change)),
                    Err(error) => store_error(error, change),
                }
            }
            Self::List { options, answer, .. } => {
                read_at(&mut options.at, change);
                match answer {
                    Ok(page) => {
                        page.revision = change(page.revision);
                        page.entries.iter_mut().for_each(|entry| key_value(entry, change));
                    }
                    Err(error) => store_error(error, change),
                }
            }
            Self::Commit { transaction: given, answer } => {
                *given = transaction(std::mem::take(given), change);
                revision(answer, change);
            }
            Self::Revision { answer } => revision(answer, change),
            Self::Compact { revision: at, answer } | Self::Watch { after: at, answer, .. } => {
                *at = change(*at);
                if let Err(error) = answer {
                    store_error(error, change);
                }
            }
            Self::Batch { batch: Ok(batch), .. } => {
                batch.revision = change(batch.revision);
                batch.events.iter_mut().for_each(|one| event(one, change));
            }
            Self::Batch { batch: Err(error), .. } => store_error(error, change),
        }
        self
    }

    /// The newest revision that the answer shows to have happened.
    pub(super) fn shows(&self) -> Option<Revision> {
        match self {
            Self::Get { answer: Ok(Some(entry)), .. } => Some(entry.mod_revision),
            Self::List { answer: Ok(page), .. } => Some(page.revision),
            Self::Commit { answer: Ok(revision), .. } | Self::Revision { answer: Ok(revision) } => Some(*revision),
            Self::Commit { answer: Err(StoreError::Conflict { current: Some(entry), .. }), .. } => {
                Some(entry.mod_revision)
            }
            _ => None,
        }
    }
}

fn read_at(at: &mut ReadAt, change: &impl Fn(Revision) -> Revision) {
    if let ReadAt::Revision(revision) = at {
        *revision = change(*revision);
    }
}

fn revision(answer: &mut Result<Revision, StoreError>, change: &impl Fn(Revision) -> Revision) {
    match answer {
        Ok(revision) => *revision = change(*revision),
        Err(error) => store_error(error, change),
    }
}

fn key_value(entry: &mut KeyValue, change: &impl Fn(Revision) -> Revision) {
    entry.create_revision = change(entry.create_revision);
    entry.mod_revision = change(entry.mod_revision);
}

fn event(event: &mut Event, change: &impl Fn(Revision) -> Revision) {
    match event {
        Event::Put { current, previous } => {
            key_value(current, change);
            previous.iter_mut().for_each(|previous| key_value(previous, change));
        }
        Event::Delete { previous, revision } => {
            key_value(previous, change);
            *revision = change(*revision);
        }
    }
}

fn precondition(precondition: &mut Precondition, change: &impl Fn(Revision) -> Revision) {
    if let Precondition::Unchanged(revision) = precondition {
        *revision = change(*revision);
    }
}

fn transaction(given: Transaction, change: &impl Fn(Revision) -> Revision) -> Transaction {
    given.into_operations().into_iter().fold(Transaction::new(), |changed, mut operation| {
        precondition(&mut operation.precondition, change);
        changed.with(operation)
    })
}

fn store_error(error: &mut StoreError, change: &impl Fn(Revision) -> Revision) {
    match error {
        StoreError::Conflict { expected, current, .. } => {
            precondition(expected, change);
            current.iter_mut().for_each(|current| key_value(current, change));
        }
        StoreError::Compacted { requested, oldest } => {
            *requested = change(*requested);
            *oldest = change(*oldest);
        }
        StoreError::FutureRevision { requested, current } => {
            *requested = change(*requested);
            *current = change(*current);
        }
        StoreError::SlowWatcher { revision } => *revision = change(*revision),
        _ => {}
    }
}
