//! What is done to a store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, future::try_join_all};
use orchestra_core::{
    random::Generator,
    store::{KeyRange, ListOptions, Precondition, ReadAt, Store, Transaction},
};

use crate::Result;

pub(crate) const CALLERS: u64 = 64;
/// How long a rate is measured.
pub(crate) const TIME: Duration = Duration::from_secs(3);
pub(crate) const VALUE: usize = 1024;
/// How many keys a commit has that fills a store: etcd takes 128.
const AT_ONCE: usize = 100;

pub(crate) struct Workload {
    pub(crate) store: Arc<dyn Store>,
    count: usize,
}

pub(crate) fn key(i: u64) -> String {
    format!("/registry/configmaps/default/object-{i:08}")
}

pub(crate) fn range() -> KeyRange {
    KeyRange::prefix("/registry/configmaps/")
}

pub(crate) fn value() -> Bytes {
    vec![b'x'; VALUE].into()
}

impl Workload {
    /// A store with `count` objects.
    pub(crate) async fn fill(store: Arc<dyn Store>, count: usize) -> Result<Self> {
        let commits: Vec<Vec<u64>> =
            (0..count as u64).collect::<Vec<_>>().chunks(AT_ONCE).map(<[u64]>::to_vec).collect();
        for some in commits.chunks(CALLERS as usize) {
            let commit = |keys: &Vec<u64>| {
                // Each its own bytes, as objects are.
                let put = |all: Transaction, i: &u64| all.put(key(*i), value(), Precondition::None);
                store.commit(keys.iter().fold(Transaction::new(), put))
            };
            try_join_all(some.iter().map(commit)).await?;
        }
        Ok(Self { store, count })
    }

    /// Changes of random objects, one a commit.
    pub(crate) async fn commits(&self) -> Result<(usize, Duration)> {
        self.commits_if(Precondition::None).await
    }

    pub(crate) async fn commits_if(&self, precondition: Precondition) -> Result<(usize, Duration)> {
        let (store, count) = (Arc::clone(&self.store), self.count as u64);
        callers(move |generator| {
            let (store, key) = (Arc::clone(&store), key(generator.below(count)));
            async move {
                store.commit(Transaction::new().put(key, value(), precondition)).await?;
                Ok(())
            }
        })
        .await
    }

    pub(crate) async fn gets(&self) -> Result<(usize, Duration)> {
        let (store, count) = (Arc::clone(&self.store), self.count as u64);
        callers(move |generator| {
            let (store, key) = (Arc::clone(&store), key(generator.below(count)));
            async move {
                store.get(&key, ReadAt::Latest).await?.ok_or("an object is gone")?;
                Ok(())
            }
        })
        .await
    }

    /// The best of five lists of everything.
    pub(crate) async fn list(&self) -> Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            let page = self.store.list(&range(), ListOptions::default()).await?;
            best = best.min(begun.elapsed());
            assert_eq!(page.entries.len(), self.count, "the list is complete");
        }
        Ok(best)
    }

    /// Commits that a thousand watchers see: how many watchers, how many events they got, in which time.
    pub(crate) async fn fan_out(&self) -> Result<(usize, usize, Duration)> {
        const WATCHERS: usize = 1_000;
        const COMMITS: u64 = 5_000;
        let now = self.store.revision().await?;
        let mut watchers = Vec::new();
        for _ in 0..WATCHERS {
            let mut watch = self.store.watch(range(), now).await?;
            watchers.push(tokio::spawn(async move {
                let mut events = 0;
                while events < COMMITS as usize {
                    events += watch.next().await.ok_or("the watch ended")??.events.len();
                }
                Ok::<usize, Box<dyn std::error::Error + Send + Sync>>(events)
            }));
        }
        let begun = Instant::now();
        for i in 0..COMMITS {
            self.store.commit(Transaction::new().put(key(i), value(), Precondition::Exists)).await?;
            tokio::task::yield_now().await;
        }
        let mut delivered = 0;
        for events in try_join_all(watchers).await? {
            delivered += events?;
        }
        Ok((WATCHERS, delivered, begun.elapsed()))
    }
}

/// Does `call` again and again from [`CALLERS`] tasks for [`TIME`]: how often, in which time.
pub(crate) async fn callers<F>(call: impl Fn(&Generator) -> F + Clone + Send + 'static) -> Result<(usize, Duration)>
where
    F: Future<Output = Result<()>> + Send,
{
    let begun = Instant::now();
    let tasks = (0..CALLERS).map(|caller| {
        let call = call.clone();
        tokio::spawn(async move {
            let generator = Generator::seeded(caller);
            let mut calls = 0;
            while begun.elapsed() < TIME {
                call(&generator).await?;
                calls += 1;
                // A store that has the answer at hand would keep the thread.
                if calls % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Ok::<usize, Box<dyn std::error::Error + Send + Sync>>(calls)
        })
    });
    let mut all = 0;
    for calls in try_join_all(tasks).await? {
        all += calls?;
    }
    Ok((all, begun.elapsed()))
}
