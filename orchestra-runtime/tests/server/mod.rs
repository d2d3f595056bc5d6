//! An API server in memory, in time that passes when nothing else is to do.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use kube::Client;
use orchestra_core::{
    clock::TokioClock,
    random::Generator,
    store::{KeyRange, Store, Watcher},
};
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use tokio::time::{Instant, timeout};

/// Nothing that a test waits for takes longer.
const DEADLINE: Duration = Duration::from_secs(3600);

pub(crate) struct Server {
    pub(crate) clock: Arc<TokioClock>,
    pub(crate) api: ApiServer,
    store: MemoryStore,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")));
        let store = MemoryStore::default();
        let api = ApiServer::builder(Arc::new(store.clone())).clock(clock.clone()).generator(Generator::seeded(1));
        let api = api.start().await.expect("the server starts");
        Self { clock, api, store }
    }

    pub(crate) fn client(&self) -> Client {
        self.api.client("default")
    }

    /// Looks again whenever something was written, until there is what it looks for.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let now = self.store.revision().await.expect("the store answers");
        let mut changes =
            self.store.watch(KeyRange::prefix("/registry/"), now).await.expect("the store can be watched");
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            let changed = timeout(deadline.duration_since(Instant::now()), changes.next()).await;
            assert!(changed.is_ok(), "never happened: {what}");
        }
    }
}
