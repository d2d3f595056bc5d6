//! The watch cache over a store.

use std::{sync::Arc, time::Instant};

use futures::{FutureExt, StreamExt};
use orchestra_core::store::Store;
use orchestra_examples::measure::{millis, per_second, resident};
use orchestra_store::cache::{Cache, Freshness};

use crate::{
    LISTED, Result,
    figures::Figures,
    workload::{Workload, callers, key, range},
};

const IDLE: usize = 10_000;

/// Gets and lists through the cache.
pub(crate) async fn measure(figures: &mut Figures, name: &str, store: Arc<dyn Store>) -> Result<()> {
    eprintln!("{name}, through the watch cache");
    let workload = Workload::fill(store, LISTED).await?;
    let cache = Cache::start(Arc::clone(&workload.store), range().start());
    cache.read(Freshness::Latest).await?;
    for (freshness, word) in [(Freshness::NotOlderThan(0), "any state"), (Freshness::Latest, "the latest state")] {
        let cached = cache.clone();
        let (gets, took) = callers(move |generator| {
            let (cache, key) = (cached.clone(), key(generator.below(LISTED as u64)));
            async move {
                cache.get(&key, freshness).await?.ok_or("an object is gone")?;
                Ok(())
            }
        })
        .await?;
        figures.add(&format!("cached gets of {word}"), name, per_second(gets, took), "");
        let mut best = std::time::Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            let snapshot = cache.read(freshness).await?;
            let entries: Vec<_> = snapshot.range(&range()).cloned().collect();
            best = best.min(begun.elapsed());
            assert_eq!(entries.len(), LISTED, "the list is complete");
        }
        figures.add(&format!("cached list of 10,000 of {word}"), name, millis(best), "");
    }
    Ok(())
}

/// What the cache costs of memory, beside the store's own; with a store in this process the objects' bytes are shared.
pub(crate) async fn memory(figures: &mut Figures, name: &str, store: Arc<dyn Store>, count: usize) -> Result<()> {
    let workload = Workload::fill(store, count).await?;
    let before = resident();
    let cache = Cache::start(Arc::clone(&workload.store), range().start());
    let now = cache.read(Freshness::Latest).await?.revision;
    let each = (resident() - before) * 1e6 / count as f64;
    figures.add("memory of the cache, an object of 1 KiB", name, format!("{each:.0} B"), "<= 1,836 B");
    let before = resident();
    let mut watches = Vec::new();
    for _ in 0..IDLE {
        let mut watch = cache.watch(range(), now).await?;
        assert!(watch.next().now_or_never().is_none(), "nothing happens");
        watches.push(watch);
    }
    let all = resident() - before;
    figures.add("memory of 10,000 idle watchers of the cache", name, format!("{all:.1} MB"), "<= 100 MB");
    Ok(())
}
