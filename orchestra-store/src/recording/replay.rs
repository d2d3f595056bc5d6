use std::collections::BTreeMap;

use orchestra_core::store::{Revision, Store, StoreError};
use tokio::time::{Instant, sleep_until};

use super::trace::{Step, Trace};

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store did not tell its revision at the start.
    #[error("the store cannot be asked: {0}")]
    Start(StoreError),
    /// The store answered otherwise than the recorded one.
    #[error("record {number} differs: recorded {recorded:?}, now {now:?}")]
    Differs {
        /// Which record, from 1.
        number: usize,
        /// The record.
        recorded: Box<Step>,
        /// The same call, with the answer that it has now; its revisions are as if the store had started where the
        /// recorded one did.
        now: Box<Step>,
    },
}

/// Makes the calls of `trace` on `store`, one after the other and each as long after the start as it was answered then, up to
/// the first answer that is another one. Revisions count from the start of each. Batches and watches are not replayed.
///
/// Calls that overlapped are put in an order by the revisions that their answers show; where these do not tell, the order of the answers
/// stands. A recording under paused time on one thread, or of a store whose callers take turns, replays exactly. Calls that
/// failed with [`StoreError::Unavailable`] or [`StoreError::OutcomeUnknown`] are left out: record behind what makes them
/// fail, not before it.
pub async fn replay(trace: &Trace, store: &dyn Store) -> Result<(), ReplayError> {
    let start = store.revision().await.map_err(ReplayError::Start)?;
    let begun = Instant::now();
    for place in order(trace) {
        let record = &trace.records[place];
        if let Some(due) = begun.checked_add(record.after) {
            sleep_until(due).await;
        }
        let there = record.step.clone().map_revisions(&|revision| moved(revision, trace.start, start));
        let now = again(there, store).await.map_revisions(&|revision| moved(revision, start, trace.start));
        if now != record.step {
            let (recorded, now) = (Box::new(record.step.clone()), Box::new(now));
            return Err(ReplayError::Differs { number: place + 1, recorded, now });
        }
    }
    Ok(())
}

/// `revision` of a history that starts at `from`, in one that starts at `to`.
fn moved(revision: Revision, from: Revision, to: Revision) -> Revision {
    revision.saturating_add(to).saturating_sub(from)
}

/// The places of the records that are replayed: before each come the commits that its answer shows.
fn order(trace: &Trace) -> Vec<usize> {
    let mut commits = BTreeMap::new();
    for (place, record) in trace.records.iter().enumerate() {
        if let Step::Commit { answer: Ok(revision), .. } = record.step {
            commits.entry(revision).or_insert_with(Vec::new).push(place);
        }
    }
    let mut order = Vec::with_capacity(trace.records.len());
    for (place, record) in trace.records.iter().enumerate().filter(|(_, record)| is_replayed(&record.step)) {
        let is_commit = matches!(record.step, Step::Commit { answer: Ok(_), .. });
        // Those at its own revision come as they were answered.
        let shown = record.step.shows().map_or(0, |shown| if is_commit { shown } else { shown.saturating_add(1) });
        let later = commits.split_off(&shown);
        order.extend(std::mem::replace(&mut commits, later).into_values().flatten());
        if !is_commit {
            order.push(place);
        } else if let Some(same) = commits.get_mut(&shown) {
            same.retain(|commit| *commit != place);
            order.push(place);
        }
    }
    order
}

fn is_replayed(step: &Step) -> bool {
    let failed = |error: &StoreError| matches!(error, StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_));
    match step {
        Step::Get { answer, .. } => !answer.as_ref().is_err_and(failed),
        Step::List { answer, .. } => !answer.as_ref().is_err_and(failed),
        Step::Commit { answer, .. } | Step::Revision { answer } => !answer.as_ref().is_err_and(failed),
        Step::Compact { answer, .. } => !answer.as_ref().is_err_and(failed),
        Step::Watch { .. } | Step::Batch { .. } => false,
    }
}

/// The call of `step`, with its answer now.
async fn again(step: Step, store: &dyn Store) -> Step {
    match step {
        Step::Get { key, at, .. } => {
            let answer = store.get(&key, at).await;
            Step::Get { key, at, answer }
        }
        Step::List { range, options, .. } => {
            let answer = store.list(&range, options.clone()).await;
            Step::List { range, options, answer }
        }
        Step::Commit { transaction, .. } => {
            let answer = store.commit(transaction.clone()).await;
            Step::Commit { transaction, answer }
        }
        Step::Revision { .. } => Step::Revision { answer: store.revision().await },
        Step::Compact { revision, .. } => Step::Compact { revision, answer: store.compact(revision).await },
        other => other,
    }
}
