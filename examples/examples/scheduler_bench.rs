//! Measures the scheduler: decisions by themselves, and pods from their creation to their binding with the API server in this process.
//!
//! ```text
//! cargo run --release --example scheduler_bench             # everything
//! cargo run --release --example scheduler_bench -- bound    # one part: decisions, bound, waiting, memory
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use mimalloc::MiMalloc;
use orchestra_core::{
    clock::SystemClock,
    event_recorder::EventRecorder,
    informer::{Change, InformerFactory, Reflected as _, Told},
    random::Generator,
    scheduler::{Nomination, PodInfo, ScheduleError, Scheduler},
};
use orchestra_examples::measure::{concurrently, per_second, resident};
use orchestra_sched::{
    cache::ClusterCache,
    driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver},
    framework::Framework,
};
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How many pods are on each node before.
const PODS_A_NODE: usize = 10;
/// How long decisions are counted.
const SAMPLE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    row("what", "measured", "target");
    if is_wanted("memory") {
        memory()?;
    }
    if is_wanted("decisions") {
        decisions()?;
    }
    if is_wanted("bound") {
        for (nodes, target) in [(100, ">= 5,000/s"), (1_000, ">= 5,000/s"), (5_000, ">= 5,000/s"), (50_000, "")] {
            let rate = bound(nodes, 10_000, 0, &plain).await?;
            row(&format!("create to bound, {nodes} nodes"), &rate, target);
        }
        for (what, spec) in [("spread over zones", SPREAD), ("anti-affinity of hosts", ANTI_AFFINITY)] {
            let spec: Value = serde_json::from_str(spec)?;
            let rate = bound(5_000, 4_000, 0, &|name| with_spec(plain(name), &spec)).await?;
            row(&format!("create to bound, 5,000 nodes, {what}"), &rate, ">= 1,500/s");
        }
    }
    if is_wanted("waiting") {
        let without = bound(1_000, 10_000, 0, &plain).await?;
        let beside = bound(1_000, 10_000, 100_000, &plain).await?;
        row("create to bound, 1,000 nodes, nobody waits", &without, "");
        row("the same, 100,000 unschedulable pods wait", &beside, "90 % of that");
    }
    Ok(())
}

fn row(what: &str, measured: &str, target: &str) {
    println!("{what:<58} {measured:>16} {target:>14}");
}

const SPREAD: &str = r#"{ "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
    "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "bench" } } }] }"#;
const ANTI_AFFINITY: &str = r#"{ "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{
    "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "bench" } } }] } } }"#;

fn node(index: usize) -> Result<Node> {
    let name = format!("n{index:05}");
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": format!("z{}", index % 10) } },
        "status": { "capacity": { "cpu": "32", "memory": "64Gi", "pods": "250" },
                    "allocatable": { "cpu": "32", "memory": "64Gi", "pods": "250" } },
    }))?)
}

fn plain(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default", "labels": { "app": "bench" } },
        "spec": { "containers": [{ "name": "main", "image": "nginx:1.27",
                                   "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } } }] },
    })
}

fn with_spec(mut pod: Value, spec: &Value) -> Value {
    if let (Some(fields), Some(more)) = (pod["spec"].as_object_mut(), spec.as_object()) {
        fields.extend(more.clone());
    }
    pod
}

fn info(mut pod: Value, node: Option<&str>) -> Result<Arc<PodInfo>> {
    pod["metadata"]["uid"] = pod["metadata"]["name"].clone();
    pod["spec"]["nodeName"] = json!(node);
    Ok(PodInfo::of(&Told::new(Arc::new(serde_json::from_value(pod)?), false)))
}

/// Nodes with pods on each that ask for so much CPU.
fn cache(nodes: usize, cpu: &str) -> Result<ClusterCache> {
    let mut cache = ClusterCache::default();
    for index in 0..nodes {
        let node = node(index)?;
        let name = node.metadata.name.clone().unwrap_or_default();
        cache.set_node(Arc::new(node));
        for number in 0..PODS_A_NODE {
            let mut pod = plain(&format!("{name}-{number}"));
            pod["metadata"]["labels"] = json!({ "app": "old" });
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!(cpu);
            cache.set_pod(info(pod, Some(&name))?);
        }
    }
    Ok(cache)
}

fn memory() -> Result<()> {
    let before = resident();
    let cache = cache(5_000, "10m")?;
    let taken = format!("{:.0} MB", resident() - before);
    row("memory of the cache, 5,000 nodes and 50,000 pods", &taken, "<= 100 MB");
    drop(cache);
    Ok(())
}

/// Counts decisions about pods that are put on their nodes, which empty again when they are all taken.
fn decisions() -> Result<()> {
    for (what, spec, target) in [
        ("", "{}", ">= 20,000/s"),
        (", spread over zones", SPREAD, ">= 3,000/s"),
        (", anti-affinity of hosts", ANTI_AFFINITY, ">= 3,000/s"),
    ] {
        let spec: Value = serde_json::from_str(spec)?;
        let framework = Framework::kubernetes();
        let mut cache = cache(5_000, "10m")?;
        let waiting: Vec<_> = (0..2_500)
            .map(|number| info(with_spec(plain(&format!("p{number}")), &spec), None))
            .collect::<Result<_>>()?;
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < SAMPLE {
            for pod in &waiting {
                let placement = framework.schedule(pod, &cache.snapshot(), count as u64)?;
                cache.assume(pod.clone(), &placement.node);
                count += 1;
            }
            for pod in &waiting {
                cache.forget(pod.id());
            }
        }
        row(&format!("decisions, 5,000 nodes{what}"), &per_second(count, begun.elapsed()), target);
    }
    let (framework, cache) = (Framework::kubernetes(), cache(5_000, "3200m")?);
    let mut important = plain("important");
    important["spec"]["priority"] = json!(1000);
    important["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("3");
    let important = info(important, None)?;
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < SAMPLE {
        match framework.schedule(&important, &cache.snapshot(), count as u64) {
            Err(ScheduleError::Unschedulable(why)) if matches!(why.nomination(), Nomination::For { .. }) => count += 1,
            other => return Err(format!("no victims were found: {other:?}").into()),
        }
    }
    row("preemptions, 5,000 nodes", &per_second(count, begun.elapsed()), ">= 500/s");
    Ok(())
}

async fn create(client: &Client, pods: Vec<Value>) -> Result<()> {
    let (client, pods) = (client.clone(), Arc::new(pods));
    concurrently(pods.len(), move |index| {
        let (api, pods) = (Api::<Pod>::default_namespaced(client.clone()), Arc::clone(&pods));
        async move {
            let pod = pods.get(index).cloned().unwrap_or_default();
            api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
            Ok(())
        }
    })
    .await
    .map(drop)
}

/// How many of `count` pods are bound a second, beside `waiting` ones that fit nowhere. API server and scheduler are in this process, nodes are
/// objects without kubelets.
async fn bound(nodes: usize, count: usize, waiting: usize, pod: &dyn Fn(&str) -> Value) -> Result<String> {
    let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await?;
    let client = server.client("default");
    let api = Api::<Node>::all(client.clone());
    concurrently(nodes, move |index| {
        let api = api.clone();
        async move {
            let created = api.create(&PostParams::default(), &node(index)?).await?;
            // New nodes are not ready, and no controller is here to see that they are.
            let untainted = Patch::Merge(json!({ "spec": { "taints": null } }));
            api.patch(&created.name_any(), &PatchParams::default(), &untainted).await?;
            Ok(())
        }
    })
    .await?;
    let informers = InformerFactory::new(client.clone());
    let informer = informers.informer::<PodInfo>();
    let (bound, told) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (on_bound, on_told) = (Arc::clone(&bound), Arc::clone(&told));
    let subscription = informer.subscribe(move |change: &Change<PodInfo>| {
        let is_bound = |pod: &PodInfo| pod.node_name().is_some();
        let is_told = |pod: &PodInfo| {
            let status = pod.pod().status.as_ref().filter(|_| !is_bound(pod));
            status.and_then(|status| status.conditions.as_ref()).is_some_and(|all| !all.is_empty())
        };
        let became = |holds: &dyn Fn(&PodInfo) -> bool| {
            change.new().is_some_and(|pod| holds(pod)) && !change.old().is_some_and(|pod| holds(pod))
        };
        on_bound.add_permits(usize::from(became(&is_bound)));
        on_told.add_permits(usize::from(became(&is_told) && !became(&is_bound)));
    });
    let stop = CancellationToken::new();
    let clock = Arc::new(SystemClock);
    let recorder = EventRecorder::reporting(client.clone(), DEFAULT_SCHEDULER_NAME, "bench", clock.clone());
    let scheduler = Arc::new(Framework::kubernetes());
    let generator = Generator::seeded(1);
    let driver = SchedulerDriver::new(client.clone(), informers.clone(), scheduler, recorder, clock, generator);
    let driver = tokio::spawn(driver.run(stop.clone()));
    if waiting > 0 {
        let large = json!({ "nodeSelector": { "no": "such-node" } });
        create(&client, (0..waiting).map(|i| with_spec(plain(&format!("w{i}")), &large)).collect()).await?;
        drop(told.acquire_many(u32::try_from(waiting)?).await?);
    }
    let begun = Instant::now();
    create(&client, (0..count).map(|i| pod(&format!("p{i}"))).collect()).await?;
    drop(bound.acquire_many(u32::try_from(count)?).await?);
    let rate = per_second(count, begun.elapsed());
    drop(subscription);
    stop.cancel();
    driver.await?;
    informers.shut_down().await;
    Ok(rate)
}
