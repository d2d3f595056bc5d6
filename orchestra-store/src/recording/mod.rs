//! [`RecordingStore`]: what is asked of a store and what it answers, as a [`Trace`] that can be [`replay`]ed.

mod replay;
mod revisions;
mod sink;
mod trace;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::StreamExt;
use orchestra_core::store::{
    KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchStream, Watcher,
};

use self::sink::Sink;
pub use self::{
    replay::{ReplayError, replay},
    trace::{Record, Step, Trace, TraceError},
};

/// A store that keeps a record of every call with its answer, and of every batch that its watches deliver.
///
/// A record is made when the answer is there; times are tokio's, from the start of the recording on. Clones record to the
/// same place.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use orchestra_core::store::{Precondition, Store, Transaction};
/// use orchestra_store::{MemoryStore, RecordingStore, recording::replay};
///
/// let store = RecordingStore::in_memory(Arc::new(MemoryStore::default())).await?;
/// store.commit(Transaction::new().put("/a", "1", Precondition::Absent)).await?;
/// let trace = store.trace();
/// assert_eq!(trace.records.len(), 1);
/// replay(&trace, &MemoryStore::default()).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct RecordingStore {
    inner: Arc<dyn Store>,
    sink: Arc<Sink>,
    watches: Arc<AtomicU64>,
}

impl RecordingStore {
    /// Records to memory what is asked of `inner`; [`trace`](Self::trace) gives it out. The store is asked for its revision
    /// first.
    pub async fn in_memory(inner: Arc<dyn Store>) -> Result<Self, StoreError> {
        let start = inner.revision().await?;
        Ok(Self { inner, sink: Arc::new(Sink::memory(start)), watches: Arc::default() })
    }

    /// Records to `writer`, in lines of JSON that [`Trace::read`] reads. Writes are small and are made by whoever calls the
    /// store, so that a file is better buffered; [`flush`](Self::flush) empties the buffer.
    pub async fn to_writer(inner: Arc<dyn Store>, writer: impl io::Write + Send + 'static) -> Result<Self, StoreError> {
        let start = inner.revision().await?;
        Ok(Self { inner, sink: Arc::new(Sink::writer(start, Box::new(writer))), watches: Arc::default() })
    }

    /// What was recorded to memory so far; without records if it goes to a writer.
    pub fn trace(&self) -> Trace {
        self.sink.trace()
    }

    /// Flushes the writer. A write that failed ended the recording, and is told here, once; the store goes on all the same.
    pub fn flush(&self) -> io::Result<()> {
        self.sink.flush()
    }

    fn record(&self, step: Step) {
        self.sink.record(step);
    }
}

#[async_trait]
impl Watcher for RecordingStore {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        let begun = self.inner.watch(range.clone(), after).await;
        let watch = self.watches.fetch_add(1, Ordering::Relaxed);
        let answer = begun.as_ref().map(|_| ()).map_err(StoreError::clone);
        self.record(Step::Watch { watch, range, after, answer });
        let sink = Arc::clone(&self.sink);
        let stream = begun?.inspect(move |batch| sink.record(Step::Batch { watch, batch: batch.clone() }));
        Ok(stream.boxed())
    }
}

#[async_trait]
impl Store for RecordingStore {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        let answer = self.inner.get(key, at).await;
        self.record(Step::Get { key: key.into(), at, answer: answer.clone() });
        answer
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        let answer = self.inner.list(range, options.clone()).await;
        self.record(Step::List { range: range.clone(), options, answer: answer.clone() });
        answer
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        let answer = self.inner.commit(transaction.clone()).await;
        self.record(Step::Commit { transaction, answer: answer.clone() });
        answer
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        let answer = self.inner.revision().await;
        self.record(Step::Revision { answer: answer.clone() });
        answer
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        let answer = self.inner.compact(revision).await;
        self.record(Step::Compact { revision, answer: answer.clone() });
        answer
    }
}
