use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use orchestra_core::store::{Event, KeyRange, Revision, StoreError, WatchBatch, WatchStream, Watcher};
use orchestra_store::MemoryStore;
use tokio::sync::mpsc;

use crate::broken::Flaw;

/// Forgets the second event of a batch, and the fifth of a history that comes one by one.
pub(crate) struct LostEvent;

impl Flaw for LostEvent {
    fn batch(&self, mut batch: WatchBatch) -> Vec<WatchBatch> {
        batch.events.retain(|event| event.revision() % 5 != 3);
        vec![batch]
    }
}

pub(crate) struct DoubledEvent;

impl Flaw for DoubledEvent {
    fn batch(&self, mut batch: WatchBatch) -> Vec<WatchBatch> {
        batch.events = batch.events.into_iter().flat_map(|event| [event.clone(), event]).collect();
        vec![batch]
    }
}

pub(crate) struct WrongOrder;

impl Flaw for WrongOrder {
    fn batch(&self, mut batch: WatchBatch) -> Vec<WatchBatch> {
        batch.events.reverse();
        vec![batch]
    }
}

/// Keeps the order of revisions, not that within one.
pub(crate) struct ReversedTransaction;

impl Flaw for ReversedTransaction {
    fn batch(&self, mut batch: WatchBatch) -> Vec<WatchBatch> {
        batch.events.reverse();
        batch.events.sort_by_key(Event::revision);
        vec![batch]
    }
}

pub(crate) struct SplitBatch;

impl Flaw for SplitBatch {
    fn batch(&self, batch: WatchBatch) -> Vec<WatchBatch> {
        if batch.events.len() < 2 {
            return vec![batch];
        }
        batch.events.into_iter().map(|event| WatchBatch { revision: event.revision(), events: vec![event] }).collect()
    }
}

pub(crate) struct WrongPrevious;

impl Flaw for WrongPrevious {
    fn batch(&self, mut batch: WatchBatch) -> Vec<WatchBatch> {
        for event in &mut batch.events {
            if let Event::Put { current, previous: Some(previous) } = event {
                previous.value = current.value.clone();
            }
        }
        vec![batch]
    }
}

/// Says that it is further than it is.
pub(crate) struct BatchAhead;

impl Flaw for BatchAhead {
    fn batch(&self, mut batch: WatchBatch) -> Vec<WatchBatch> {
        batch.revision += 1;
        vec![batch]
    }
}

pub(crate) struct WatchOneLate;

#[async_trait]
impl Flaw for WatchOneLate {
    async fn watch(&self, good: &MemoryStore, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        use orchestra_core::store::Store;
        good.watch(range, good.revision().await?.min(after + 1)).await
    }
}

pub(crate) struct WatchFromNow;

#[async_trait]
impl Flaw for WatchFromNow {
    async fn watch(&self, good: &MemoryStore, range: KeyRange, _: Revision) -> Result<WatchStream, StoreError> {
        use orchestra_core::store::Store;
        good.watch(range, good.revision().await?).await
    }
}

pub(crate) struct WatchEverything;

#[async_trait]
impl Flaw for WatchEverything {
    async fn watch(&self, good: &MemoryStore, _: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        good.watch(KeyRange::prefix(""), after).await
    }
}

/// Keeps everything for a watcher that does not read.
pub(crate) struct UnboundedWatcher;

#[async_trait]
impl Flaw for UnboundedWatcher {
    async fn watch(&self, good: &MemoryStore, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let mut good = good.watch(range, after).await?;
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(item) = good.next().await {
                if sender.send(item).is_err() {
                    return;
                }
            }
        });
        Ok(stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed())
    }
}

/// Watches on from now, without a word, where a watcher was too slow.
pub(crate) struct SilentLoss;

#[async_trait]
impl Flaw for SilentLoss {
    async fn watch(&self, good: &MemoryStore, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let first = good.watch(range.clone(), after).await?;
        let good = good.clone();
        let silent = stream::unfold((first, good, range), |(mut current, good, range)| async move {
            use orchestra_core::store::Store;
            loop {
                match current.next().await? {
                    Ok(batch) => return Some((Ok(batch), (current, good, range))),
                    Err(_) => current = good.watch(range.clone(), good.revision().await.ok()?).await.ok()?,
                }
            }
        });
        Ok(silent.boxed())
    }
}

/// Goes on with an empty batch after its error.
pub(crate) struct ErrorWithoutEnd;

#[async_trait]
impl Flaw for ErrorWithoutEnd {
    async fn watch(&self, good: &MemoryStore, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let failed = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&failed);
        let good = good.watch(range, after).await?.inspect(move |item| noted.store(item.is_err(), Ordering::Relaxed));
        let more = stream::once(async { Ok(WatchBatch::default()) }).filter(move |_| {
            let failed = failed.load(Ordering::Relaxed);
            async move { failed }
        });
        Ok(good.chain(more).boxed())
    }
}

/// Forgets, of a watch that begins in the past, the change that comes next when it has caught up.
pub(crate) struct LostAtTheSeam;

#[async_trait]
impl Flaw for LostAtTheSeam {
    async fn watch(&self, good: &MemoryStore, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        use orchestra_core::store::Store;
        let next = good.revision().await? + 1;
        let forgotten = (after + 1 < next).then_some(next);
        let good = good.watch(range, after).await?.map(move |item| {
            item.map(|mut batch| {
                batch.events.retain(|event| Some(event.revision()) != forgotten);
                batch
            })
        });
        Ok(good.boxed())
    }
}

/// Tells what a key is now as what it was before, of changes that a watch in the past delivers.
pub(crate) struct PreviousOfNow;

#[async_trait]
impl Flaw for PreviousOfNow {
    async fn watch(&self, good: &MemoryStore, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let store = good.clone();
        let good = good.watch(range, after).await?.then(move |item| {
            let store = store.clone();
            async move {
                use orchestra_core::store::{ReadAt, Store};
                let mut batch = item?;
                for event in &mut batch.events {
                    if let Event::Put { current, previous: Some(previous) } = event
                        && let Some(now) = store.get(&current.key, ReadAt::Latest).await?
                        && now.mod_revision > current.mod_revision
                    {
                        *previous = now;
                    }
                }
                Ok(batch)
            }
        });
        Ok(good.boxed())
    }
}
