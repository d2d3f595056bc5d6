//! Compaction: what is forgotten is refused, what is kept stays as it was.

use orchestra_core::{
    contract::ensure_error,
    store::{KeyRange, ListOptions, ReadAt, Revision, StoreError},
};

use super::{
    Check, Subject, Violation, check, ensure,
    read::{delete, listed, put, value},
    tail::{Tail, summary},
};

pub(super) const CHECKS: &[Check] = &[
    check!("compaction", compacted_revisions_are_refused),
    check!("compaction", kept_revisions_stay_as_they_were),
    check!("compaction", compaction_may_be_repeated),
    check!("compaction", watch_that_keeps_up_survives),
];

fn range() -> KeyRange {
    KeyRange::prefix("/c/")
}

/// Puts, changes and deletes; the revisions after each, with the state there.
async fn history(store: &Subject) -> Result<Vec<(Revision, Vec<String>)>, Violation> {
    let mut states = Vec::new();
    for i in 0..12 {
        let key = format!("/c/{}", i % 3);
        let revision = if i % 4 == 3 { delete(store, &key).await? } else { put(store, &key, &i.to_string()).await? };
        states.push((revision, listed(store, &range(), ReadAt::Latest).await?));
    }
    Ok(states)
}

/// Reads and watches from before the compacted revision get `Compacted`, which says what is the oldest.
pub async fn compacted_revisions_are_refused(store: Subject) -> Result<(), Violation> {
    let states = history(&store).await?;
    let oldest = states[6].0;
    store.compact(oldest).await?;
    for (revision, _) in &states[..6] {
        let at = ReadAt::Revision(*revision);
        let got = store.get("/c/0", at).await;
        let told = matches!(got, Err(StoreError::Compacted { oldest: told, .. }) if told == oldest);
        ensure!(told, "get at {revision}, compacted at {oldest}, gives {got:?}");
        let page = store.list(&range(), ListOptions { at, ..ListOptions::default() }).await;
        ensure_error!(page, StoreError::Compacted { .. }, "list at {revision}, compacted at {oldest}");
    }
    for (revision, _) in &states[..5] {
        let watched = store.watch(range(), *revision).await;
        ensure_error!(watched, StoreError::Compacted { .. }, "watch after {revision}, compacted at {oldest}");
    }
    Ok(())
}

/// The state at the compacted revision and all later ones, and all later events, stay readable.
pub async fn kept_revisions_stay_as_they_were(store: Subject) -> Result<(), Violation> {
    let states = history(&store).await?;
    let end = states.last().map_or(0, |(revision, _)| *revision);
    let all = Tail::start(&store, range(), states[0].0).await?.through(end).await?;
    for (place, (oldest, _)) in states.iter().enumerate() {
        store.compact(*oldest).await?;
        for (revision, expected) in &states[place..] {
            let got = listed(&store, &range(), ReadAt::Revision(*revision)).await?;
            ensure!(got == *expected, "list at {revision}, compacted at {oldest}, gives {got:?}, not {expected:?}");
        }
        if *oldest == end {
            continue;
        }
        let events = Tail::start(&store, range(), *oldest).await?.through(end).await?;
        let kept = &all[all.len() - events.len().min(all.len())..];
        let whole = events == kept && events.first().is_some_and(|event| event.revision() == oldest + 1);
        ensure!(whole, "watch after {oldest}, compacted there, sees {}, not {}", summary(&events), summary(kept));
    }
    let got = value(&store, "/c/1", ReadAt::Latest).await?;
    ensure!(got.as_deref() == Some("10"), "/c/1 is {got:?} after everything before the latest was compacted");
    Ok(())
}

/// A compaction at a revision that is already compacted is no error and brings nothing back.
pub async fn compaction_may_be_repeated(store: Subject) -> Result<(), Violation> {
    let states = history(&store).await?;
    let (early, oldest) = (states[3].0, states[8].0);
    for revision in [oldest, oldest, early, 0] {
        store.compact(revision).await?;
        let old = store.get("/c/0", ReadAt::Revision(states[7].0)).await;
        ensure_error!(old, StoreError::Compacted { .. }, "get at {}, compacted at {oldest}", states[7].0);
        store.get("/c/0", ReadAt::Revision(oldest)).await?;
    }
    let end = store.revision().await?;
    store.compact(end).await?;
    let next = put(&store, "/c/0", "next").await?;
    ensure!(next == end + 1, "a commit after revision {end}, compacted there, has revision {next}");
    Ok(())
}

/// A compaction does not touch a watch that has read everything before it.
pub async fn watch_that_keeps_up_survives(store: Subject) -> Result<(), Violation> {
    let mut tail = Tail::start(&store, range(), store.revision().await?).await?;
    for round in 0..10 {
        let revision = put(&store, "/c/0", &round.to_string()).await?;
        let events = tail.through(revision).await?;
        ensure!(events.len() == 1, "a watch over compactions sees {} in round {round}", summary(&events));
        store.compact(revision).await?;
    }
    Ok(())
}
