//! Whether a transaction was done, read from the history of its anchor.

use futures::StreamExt;
use orchestra_core::store::{
    Change, Event, KeyRange, ListOptions, Page, ReadAt, Revision, StoreError, Transaction, WatchBatch, WatchStream,
};
use tokio::time::timeout_at;

use super::{RetryingStore, anchor::Anchor, patience::Patience};

impl RetryingStore {
    /// The revision at which `transaction` was done, if it was; at revision `before` it was not.
    pub(super) async fn find(
        &self,
        transaction: &Transaction,
        anchor: &Anchor,
        before: Revision,
        patience: &Patience,
    ) -> Result<Option<Revision>, StoreError> {
        let changes = self.changes(anchor, before);
        let changes = match patience.until() {
            Some(until) => timeout_at(until, changes).await.unwrap_or_else(|_| Err(untold(anchor))),
            None => changes.await,
        };
        for revision in changes? {
            if self.is_in_place(transaction, revision).await? {
                return Ok(Some(revision));
            }
        }
        Ok(None)
    }

    /// The revisions after `before` at which the anchor's base was changed: at most one if it was there.
    async fn changes(&self, anchor: &Anchor, before: Revision) -> Result<Vec<Revision>, StoreError> {
        let range = KeyRange::single(&anchor.key);
        let now = self.inner.list(&range, ListOptions::default()).await?;
        let Some(base) = anchor.base else { return self.creations(range, before, now).await };
        let is_there = now.entries.first().is_some_and(|entry| entry.mod_revision == base);
        if is_there || base > now.revision {
            return Ok(Vec::new());
        }
        let after = before.max(base);
        let then = self.inner.get(&anchor.key, ReadAt::Revision(after)).await?;
        if then.is_none_or(|entry| entry.mod_revision != base) {
            return Ok(Vec::new());
        }
        // The key was at its base then and is no longer, so that the watch has an event to tell.
        let mut events = self.inner.watch(range, after).await?;
        loop {
            if let Some(event) = next(&mut events).await?.events.first() {
                return Ok(vec![event.revision()]);
            }
        }
    }

    /// The revisions after `before`, up to those that `now` shows, at which the only key of `range` was created.
    async fn creations(&self, range: KeyRange, before: Revision, now: Page) -> Result<Vec<Revision>, StoreError> {
        let last = now.entries.first().map_or(now.revision, |entry| entry.mod_revision);
        let mut creations = Vec::new();
        if last <= before {
            return Ok(creations);
        }
        let mut events = self.inner.watch(range, before).await?;
        loop {
            let batch = next(&mut events).await?;
            let created = |event: &&Event| matches!(event, Event::Put { previous: None, .. });
            creations.extend(batch.events.iter().filter(created).map(Event::revision));
            if batch.revision >= last {
                return Ok(creations);
            }
        }
    }

    /// Whether everything that `transaction` does was so just after `revision`, its puts made at it.
    async fn is_in_place(&self, transaction: &Transaction, revision: Revision) -> Result<bool, StoreError> {
        for operation in transaction.operations() {
            let there = match &operation.change {
                Change::Nothing => continue,
                change => (change, self.inner.get(&operation.key, ReadAt::Revision(revision)).await?),
            };
            let in_place = match there {
                (Change::Put { value, .. }, Some(entry)) => entry.mod_revision == revision && entry.value == *value,
                (Change::Delete, None) => true,
                _ => false,
            };
            if !in_place {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

async fn next(events: &mut WatchStream) -> Result<WatchBatch, StoreError> {
    let ended = || StoreError::Unavailable("the watch of a key's history ended".to_owned());
    events.next().await.unwrap_or_else(|| Err(ended()))
}

fn untold(anchor: &Anchor) -> StoreError {
    StoreError::Unavailable(format!("the store does not tell the history of {}", anchor.key))
}
