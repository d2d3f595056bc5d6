use std::sync::Arc;

use orchestra_core::store::{Key, KeyRange, ListOptions, ReadAt, Revision};

use crate::{
    apiserver::{registry::Resource, request::options::VersionMatch, selection::Selection, server::Shared},
    cache::{CacheError, Entry, Freshness},
};

/// The first entries that a selection shows of a range.
pub(super) struct Found {
    pub(super) entries: Vec<Arc<Entry>>,
    /// How many follow; of a selection by labels or fields only whether any do.
    pub(super) left: usize,
    pub(super) revision: Revision,
}

/// The first `limit` entries of `range` that the selection shows, in the state that `version` means.
pub(super) async fn find(
    shared: &Shared,
    resource: &Resource,
    range: &KeyRange,
    version: VersionMatch,
    selection: &Selection,
    limit: usize,
) -> Result<Found, CacheError> {
    let cache = shared.cache(resource);
    let snapshot = match version {
        VersionMatch::MostRecent => cache.read(Freshness::Latest).await?,
        VersionMatch::NotOlderThan(revision) => cache.read(Freshness::NotOlderThan(revision)).await?,
        VersionMatch::Exact(revision) => match cache.read_at(revision).await {
            Err(CacheError::Expired { .. }) => {
                return of_the_past(shared, resource, range, revision, selection, limit).await;
            }
            read => read?,
        },
    };
    let mut shown = snapshot.range(range).filter(|entry| selection.matches(resource, entry));
    let entries = shown.by_ref().take(limit).cloned().collect();
    let left = if selection.is_everything() { shown.count() } else { usize::from(shown.next().is_some()) };
    Ok(Found { entries, left, revision: snapshot.revision })
}

/// How many entries are read at once to find those that a selection shows.
const READ_AT_ONCE: usize = 500;

/// As [`find`], of a state that only the store has still.
async fn of_the_past(
    shared: &Shared,
    resource: &Resource,
    range: &KeyRange,
    revision: Revision,
    selection: &Selection,
    limit: usize,
) -> Result<Found, CacheError> {
    let mut found = Found { entries: Vec::new(), left: 0, revision };
    let mut after = None;
    loop {
        let at = ReadAt::Revision(revision);
        let read_at_once = if selection.is_everything() { limit } else { READ_AT_ONCE };
        let page = shared.store.list(range, ListOptions { at, limit: Some(read_at_once), after }).await?;
        after = page.entries.last().map(|last| Key::clone(&last.key));
        let read = page.entries.into_iter().map(|entry| Arc::new(Entry::from(entry)));
        for entry in read.filter(|entry| selection.matches(resource, entry)) {
            if found.entries.len() == limit {
                found.left = 1;
                return Ok(found);
            }
            found.entries.push(entry);
        }
        if selection.is_everything() {
            found.left = page.remaining;
        }
        if page.remaining == 0 || selection.is_everything() {
            return Ok(found);
        }
    }
}
