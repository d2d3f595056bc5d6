//! Measures a cluster in this process and prints one table.
//!
//! ```text
//! cargo run --release --example bench             # everything
//! cargo run --release --example bench -- pods     # one part: start, memory, objects, list, watch, pods
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::try_join_all};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, Client, api::PostParams};
use mimalloc::MiMalloc;
use orchestra_core::informer::{Change, Identity, Reflected, Told};
use orchestra_examples::measure::{concurrently, millis, per_second, resident};
use orchestra_runtime::Cluster;
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::ServiceExt;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Which allocator is a program's choice, not a library's. With many small objects this one takes a third less time than glibc's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    row("what", "measured", "target");
    if is_wanted("start") {
        start().await?;
    }
    if is_wanted("memory") {
        pods(100, 10_000, "100 nodes", "<= 150 MB").await?;
    }
    if is_wanted("objects") {
        objects().await?;
    }
    if is_wanted("list") {
        list().await?;
    }
    if is_wanted("watch") {
        watch().await?;
    }
    if is_wanted("pods") {
        pods(1_000, 5_000, "1,000 nodes", "").await?;
        pods(10, 1_000, "10 nodes", "").await?;
    }
    Ok(())
}

fn row(what: &str, measured: &str, target: &str) {
    println!("{what:<58} {measured:>16} {target:>14}");
}

async fn start() -> Result<()> {
    let begun = Instant::now();
    let cluster = Cluster::builder().start().await?;
    row("Cluster start to ready", &millis(begun.elapsed()), "<= 50 ms");
    row("resident memory, idle", &format!("{:.1} MB", resident()), "<= 25 MB");
    cluster.shut_down().await;
    Ok(())
}

async fn server() -> Result<ApiServer> {
    Ok(ApiServer::builder(Arc::new(MemoryStore::default())).start().await?)
}

async fn objects() -> Result<()> {
    const COUNT: usize = 50_000;
    let client = server().await?.client("default");
    let api = Api::<ConfigMap>::default_namespaced(client);
    let creating = api.clone();
    let value = "x".repeat(1024);
    let took = concurrently(COUNT, move |i| {
        let api = creating.clone();
        let object = json!({"metadata": {"name": format!("c-{i}")}, "data": {"value": value}});
        async move {
            api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
            Ok(())
        }
    })
    .await?;
    row("creates of a 1 KiB ConfigMap, 64 callers", &per_second(COUNT, took), ">= 25,000/s");
    let took = concurrently(COUNT, move |i| {
        let api = api.clone();
        async move {
            api.get(&format!("c-{i}")).await?;
            Ok(())
        }
    })
    .await?;
    row("gets, 64 callers", &per_second(COUNT, took), ">= 40,000/s");
    Ok(())
}

fn pod(name: &str) -> Pod {
    let object = json!({
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"containers": [{
            "name": "main",
            "image": "nginx:1.27",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        }]},
    });
    serde_json::from_value(object).expect("the object is a pod")
}

async fn list() -> Result<()> {
    const COUNT: usize = 10_000;
    let server = server().await?;
    let api = Api::<Pod>::default_namespaced(server.client("default"));
    concurrently(COUNT, move |i| {
        let api = api.clone();
        async move {
            api.create(&PostParams::default(), &pod(&format!("p-{i}"))).await?;
            Ok(())
        }
    })
    .await?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let request = http::Request::get("/api/v1/pods").body(axum::body::Body::empty())?;
        let begun = Instant::now();
        let body = server.router().oneshot(request).await?.into_body().collect().await?.to_bytes();
        best = best.min(begun.elapsed());
        assert!(body.len() > COUNT * 100, "the list is complete");
    }
    row("list of 10,000 pods to bytes (best of 5)", &millis(best), "<= 20 ms");
    Ok(())
}

async fn watch() -> Result<()> {
    const WATCHERS: usize = 100;
    const EVENTS: usize = 5_000;
    let server = server().await?;
    let mut readers = Vec::new();
    for _ in 0..WATCHERS {
        let path = "/api/v1/namespaces/default/configmaps?watch=1";
        let request = http::Request::get(path).body(axum::body::Body::empty())?;
        let mut body = server.router().oneshot(request).await?.into_body().into_data_stream();
        readers.push(tokio::spawn(async move {
            let mut lines = 0;
            while lines < EVENTS
                && let Some(Ok(chunk)) = body.next().await
            {
                lines += chunk.iter().filter(|byte| **byte == b'\n').count();
            }
            lines
        }));
    }
    let api = Api::<ConfigMap>::default_namespaced(server.client("default"));
    let begun = Instant::now();
    concurrently(EVENTS, move |i| {
        let api = api.clone();
        let object = json!({"metadata": {"name": format!("w-{i}")}, "data": {"k": "v"}});
        async move {
            api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
            Ok(())
        }
    })
    .await?;
    let seen: usize = try_join_all(readers).await?.into_iter().sum();
    row("events to 100 watchers, with the creates behind them", &per_second(seen, begun.elapsed()), ">= 1,000,000/s");
    Ok(())
}

/// How far a pod is: all that is kept of it to tell when all run.
#[derive(Debug)]
struct Progress {
    uid: Option<Box<str>>,
    version: Option<Box<str>>,
    is_bound: bool,
    runs: bool,
}

impl Reflected for Progress {
    type Object = Pod;

    fn of(told: &Told<Pod>) -> Arc<Self> {
        let pod = told.object();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        Arc::new(Self {
            uid: pod.metadata.uid.as_deref().map(Box::from),
            version: pod.metadata.resource_version.as_deref().map(Box::from),
            is_bound: pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()),
            runs: phase == Some("Running"),
        })
    }

    fn identity(&self) -> Identity<'_> {
        Identity { uid: self.uid.as_deref(), resource_version: self.version.as_deref() }
    }
}

/// Creates `count` pods and waits until all are bound, and until all run.
async fn pods(nodes: usize, count: usize, scale: &str, memory: &str) -> Result<()> {
    let cluster = Cluster::builder().nodes(nodes).start().await?;
    let informer = cluster.informers().informer::<Progress>();
    let (bound, running) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (on_bound, on_running) = (Arc::clone(&bound), Arc::clone(&running));
    let subscription = informer.subscribe(move |change: &Change<Progress>| {
        let (old, new) = (change.old(), change.new());
        let became =
            |holds: fn(&Progress) -> bool| new.is_some_and(|pod| holds(pod)) && !old.is_some_and(|pod| holds(pod));
        if became(|pod| pod.is_bound) {
            on_bound.add_permits(1);
        }
        if became(|pod| pod.runs) {
            on_running.add_permits(1);
        }
    });
    let client: Client = cluster.client();
    let begun = Instant::now();
    concurrently(count, move |i| {
        let api = Api::<Pod>::default_namespaced(client.clone());
        async move {
            api.create(&PostParams::default(), &pod(&format!("p-{i}"))).await?;
            Ok(())
        }
    })
    .await?;
    let all = u32::try_from(count)?;
    drop(bound.acquire_many(all).await?);
    row(&format!("create to bound, {count} pods, {scale}"), &per_second(count, begun.elapsed()), ">= 4,000/s");
    drop(running.acquire_many(all).await?);
    row(&format!("create to Running, {count} pods, {scale}"), &per_second(count, begun.elapsed()), ">= 1,500/s");
    row("resident memory then", &format!("{:.1} MB", resident()), memory);
    drop(subscription);
    cluster.shut_down().await;
    Ok(())
}
