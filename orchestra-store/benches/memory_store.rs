//! The memory store and the watch cache: reads, commits, lists, and fan-out to many watchers.

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, StreamExt};
use orchestra_core::store::{KeyRange, ListOptions, Precondition, ReadAt, Store, Transaction, Watcher};
use orchestra_store::{
    MemoryStore,
    cache::{Cache, Form, Freshness},
};
use tokio::runtime::{Builder, Runtime};

const OBJECTS: usize = 10_000;
const OBJECT_BYTES: usize = 1024;
/// Commits in one round of fan-out.
const COMMITS: usize = 100;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn key(i: usize) -> String {
    format!("/registry/pods/default/pod-{i:05}")
}

fn value() -> Bytes {
    vec![b'x'; OBJECT_BYTES].into()
}

async fn put(store: &MemoryStore, i: usize, value: &Bytes) {
    let put = Transaction::new().put(key(i), value.clone(), Precondition::None);
    store.commit(put).await.expect("a put without precondition");
}

/// A store with `OBJECTS` pods.
fn filled(runtime: &Runtime) -> MemoryStore {
    let store = MemoryStore::default();
    runtime.block_on(async {
        for i in 0..OBJECTS {
            put(&store, i, &value()).await;
        }
    });
    store
}

fn single(c: &mut Criterion) {
    let runtime = runtime();
    let store = filled(&runtime);
    let value = value();
    let mut i = 0;
    c.bench_function("get", |b| {
        b.iter(|| {
            i = (i + 7919) % OBJECTS;
            black_box(store.get(&key(i), ReadAt::Latest).now_or_never())
        });
    });
    c.bench_function("commit of a new key", |b| {
        b.iter(|| {
            i += 1;
            let put = Transaction::new().put(format!("/registry/new/{i}"), value.clone(), Precondition::Absent);
            black_box(store.commit(put).now_or_never())
        });
    });
    c.bench_function("commit of a change", |b| {
        b.iter(|| {
            i = (i + 7919) % OBJECTS;
            put(&store, i, &value).now_or_never()
        });
    });
}

fn list(c: &mut Criterion) {
    let runtime = runtime();
    let store = filled(&runtime);
    let pods = KeyRange::prefix("/registry/pods/");
    let mut group = c.benchmark_group("list of 10,000");
    group.bench_function("from the store", |b| {
        b.iter(|| black_box(store.list(&pods, ListOptions::default()).now_or_never()));
    });
    let _guard = runtime.enter();
    let cache = Cache::start(Arc::new(store.clone()), "/registry/pods/");
    group.bench_function("from the watch cache", |b| {
        b.iter(|| {
            let snapshot = runtime.block_on(cache.read(Freshness::Latest)).expect("a store that answers");
            black_box(snapshot.range(&pods).map(|entry| entry.value.len()).sum::<usize>())
        });
    });
    group.finish();
}

fn fan_out(c: &mut Criterion) {
    let runtime = runtime();
    let value = value();
    let pods = KeyRange::prefix("/registry/pods/default/");
    let mut group = c.benchmark_group("fan-out, in events");
    for watchers in [100, 1_000] {
        group.throughput(Throughput::Elements((watchers * COMMITS) as u64));
        let store = MemoryStore::default();
        let mut direct: Vec<_> = (0..watchers)
            .map(|_| runtime.block_on(store.watch(pods.clone(), 0)).expect("a watch from the start"))
            .collect();
        group.bench_function(format!("{watchers} watchers of the store"), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    for i in 0..COMMITS {
                        put(&store, i, &value).await;
                    }
                });
                for watch in &mut direct {
                    while let Some(Some(batch)) = watch.next().now_or_never() {
                        let _ = black_box(batch);
                    }
                }
            });
        });
        drop(direct);
        let cache = runtime.block_on(async { Cache::start(Arc::new(store.clone()), "/registry/pods/") });
        let now = runtime.block_on(cache.read(Freshness::Latest)).expect("a store that answers").revision;
        let mut cached: Vec<_> = (0..watchers)
            .map(|_| runtime.block_on(cache.watch(pods.clone(), now)).expect("a watch from now on"))
            .collect();
        group.bench_function(format!("{watchers} watchers of the watch cache, encoded"), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    for i in 0..COMMITS {
                        put(&store, i, &value).await;
                        // Each commit wakes the watchers by itself.
                        black_box(cache.read(Freshness::Latest).await.is_ok());
                    }
                });
                for watch in &mut cached {
                    while let Some(Some(Ok(event))) = watch.next().now_or_never() {
                        black_box(event.frame(Form::default(), |event| event.entry().value.clone()));
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = single, list, fan_out
}
criterion_main!(benches);
