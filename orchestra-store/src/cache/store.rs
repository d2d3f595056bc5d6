use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use futures::Stream;
use orchestra_core::store::{
    Event, Key, KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, Store, StoreError, Transaction, WatchBatch,
    WatchStream, Watcher,
};

use super::{Cache, CacheError, CacheWatch, CachedEvent, Entry, Freshness};

/// Any store, read from memory as far as a [`Cache`] of the keys below a prefix knows. What is older than the events that it keeps,
/// and what lies elsewhere, is read from the store itself.
///
/// It is for stores that are slow to read and whose readers want a [`Store`]. The API server has a [`Cache`] for each kind instead.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use orchestra_core::store::{Precondition, ReadAt, Store, Transaction};
/// use orchestra_store::{MemoryStore, cache::CachedStore};
///
/// let store = CachedStore::new(Arc::new(MemoryStore::default()), "/registry/");
/// let revision = store.commit(Transaction::new().put("/registry/a", "1", Precondition::Absent)).await?;
/// let entry = store.get("/registry/a", ReadAt::Latest).await?.expect("just put");
/// assert_eq!(entry.mod_revision, revision);
/// # Ok::<(), orchestra_core::store::StoreError>(()) }).unwrap();
/// ```
pub struct CachedStore {
    store: Arc<dyn Store>,
    cache: Cache,
    prefix: Key,
}

impl CachedStore {
    /// Puts a cache of the keys that begin with `prefix` in front of a store. Its task runs on the current tokio runtime.
    pub fn new(store: Arc<dyn Store>, prefix: &str) -> Self {
        Self { cache: Cache::start(Arc::clone(&store), prefix), store, prefix: prefix.into() }
    }

    fn covers(&self, range: &KeyRange) -> bool {
        KeyRange::prefix(&self.prefix).covers(range)
    }
}

/// `None` where the store itself is to be asked.
fn known<T>(read: Result<T, CacheError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(CacheError::Store(error)) => Err(error),
        Err(CacheError::Expired { .. } | CacheError::TooNew { .. }) => Ok(None),
    }
}

fn key_value(entry: &Arc<Entry>) -> KeyValue {
    KeyValue {
        key: Key::clone(&entry.key),
        value: entry.value.clone(),
        create_revision: entry.create_revision,
        mod_revision: entry.revision,
    }
}

#[async_trait]
impl Watcher for CachedStore {
    async fn watch(&self, range: KeyRange, after: Revision) -> Result<WatchStream, StoreError> {
        if self.covers(&range) {
            let current = self.store.revision().await?;
            if after > current {
                return Err(StoreError::FutureRevision { requested: after, current });
            }
            if let Some(watch) = known(self.cache.watch(range.clone(), after).await)? {
                return Ok(Box::pin(Batches { watch, delivered: after, end: None, ended: false }));
            }
        }
        self.store.watch(range, after).await
    }
}

#[async_trait]
impl Store for CachedStore {
    async fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        if key.is_empty() || !key.starts_with(&*self.prefix) {
            return self.store.get(key, at).await;
        }
        let read = match at {
            ReadAt::Latest => self.cache.get(key, Freshness::Latest).await,
            ReadAt::Revision(revision) => self.cache.read_at(revision).await.map(|read| read.get(key).cloned()),
        };
        match known(read)? {
            Some(entry) => Ok(entry.as_ref().map(key_value)),
            None => self.store.get(key, at).await,
        }
    }

    async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, StoreError> {
        if options.limit == Some(0) || !self.covers(range) {
            return self.store.list(range, options).await;
        }
        let read = match options.at {
            ReadAt::Latest => self.cache.read(Freshness::Latest).await,
            ReadAt::Revision(revision) => self.cache.read_at(revision).await,
        };
        let Some(snapshot) = known(read)? else { return self.store.list(range, options).await };
        let rest = match options.after.as_deref() {
            Some(after) if after >= range.start() => {
                KeyRange::between(format!("{after}\0"), range.end().map(Key::from))
            }
            _ => range.clone(),
        };
        let mut entries = snapshot.range(&rest);
        let page = entries.by_ref().take(options.limit.unwrap_or(usize::MAX)).map(key_value).collect();
        Ok(Page { entries: page, revision: snapshot.revision, remaining: entries.count() })
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.store.commit(transaction).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.store.revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.store.compact(revision).await?;
        // What is gone from the store is gone.
        self.cache.forget(revision);
        Ok(())
    }
}

/// The batches of a watch of the cache.
struct Batches {
    watch: CacheWatch,
    delivered: Revision,
    /// How the watch of the cache has ended, to be told after what came before.
    end: Option<End>,
    ended: bool,
}

enum End {
    Lagged,
    Closed,
}

impl Batches {
    /// Everything that is ready. The cache takes a transaction, and gives it, as a whole, so that none is split.
    fn ready(&mut self, context: &mut Context<'_>) -> Vec<Arc<CachedEvent>> {
        let mut events = Vec::new();
        while self.end.is_none() {
            match Pin::new(&mut self.watch).poll_next(context) {
                Poll::Ready(Some(Ok(event))) => events.push(event),
                Poll::Ready(Some(Err(_))) => self.end = Some(End::Lagged),
                Poll::Ready(None) => self.end = Some(End::Closed),
                Poll::Pending => break,
            }
        }
        events
    }
}

fn told(event: &CachedEvent) -> Option<Event> {
    let previous = event.previous.as_ref().map(key_value);
    match &event.current {
        Some(current) => Some(Event::Put { current: key_value(current), previous }),
        None => previous.map(|previous| Event::Delete { previous, revision: event.revision }),
    }
}

impl Stream for Batches {
    type Item = Result<WatchBatch, StoreError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let events = this.ready(context);
        let revision = match (events.last(), &this.end) {
            (Some(last), _) => last.revision,
            (None, None) => this.watch.progress(),
            (None, Some(end)) => {
                this.ended = true;
                let lagged = matches!(end, End::Lagged);
                return Poll::Ready(lagged.then_some(Err(StoreError::SlowWatcher { revision: this.delivered })));
            }
        };
        if revision <= this.delivered {
            return Poll::Pending;
        }
        this.delivered = revision;
        let events = events.iter().filter_map(|event| told(event)).collect();
        Poll::Ready(Some(Ok(WatchBatch { revision, events })))
    }
}
