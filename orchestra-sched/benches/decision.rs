//! One decision without an API: a pod is scheduled and assumed in a cluster with ten pods on each node.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::{Node, Pod};
use orchestra_core::{
    ObjectKey,
    scheduler::{Nomination, PodInfo, Rejection, ScheduleError, Scheduler},
};
use orchestra_sched::{
    cache::ClusterCache,
    framework::Framework,
    gang::{GangOutcome, GangTrial},
    queue::Gang,
};
use serde_json::json;

fn node(name: &str) -> Arc<Node> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "zone": "a" } },
            "status": { "allocatable": { "cpu": "32", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi" } },
        }))
        .unwrap(),
    )
}

fn pod(name: &str, cpu: &str, node: Option<&str>) -> Arc<PodInfo> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "nodeName": node, "containers": [
            { "name": "c", "resources": { "requests": { "cpu": cpu, "memory": "128Mi" } } }] },
    }))
    .unwrap();
    Arc::new(pod.into())
}

fn important(name: &str, cpu: &str) -> Arc<PodInfo> {
    let mut pod = (**pod(name, cpu, None).pod()).clone();
    pod.spec.as_mut().unwrap().priority = Some(1000);
    Arc::new(pod.into())
}

fn cluster(nodes: usize) -> ClusterCache {
    cluster_of(nodes, "100m")
}

/// Nodes with ten pods each that ask for so much CPU.
fn cluster_of(nodes: usize, cpu: &str) -> ClusterCache {
    let mut cache = ClusterCache::default();
    for i in 0..nodes {
        let name = format!("n{i:05}");
        cache.set_node(node(&name));
        for j in 0..10 {
            cache.set_pod(pod(&format!("{name}-{j}"), cpu, Some(&name)));
        }
    }
    cache
}

fn decision(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    group.throughput(Throughput::Elements(1));
    let framework = Framework::kubernetes();
    for nodes in [100, 1000, 5000] {
        let mut cache = cluster(nodes);
        let waiting = pod("waiting", "100m", None);
        let mut seed = 0;
        group.bench_function(BenchmarkId::new("schedule_and_assume", nodes), |bencher| {
            bencher.iter(|| {
                seed += 1;
                let placement = framework.schedule(&waiting, &cache.snapshot(), seed).unwrap();
                assert!(cache.assume(waiting.clone(), &placement.node));
                cache.forget(waiting.id());
            });
        });
        let too_large = pod("too-large", "31500m", None);
        group.bench_function(BenchmarkId::new("unschedulable", nodes), |bencher| {
            bencher.iter(|| framework.schedule(&too_large, &cache.snapshot(), 1).unwrap_err());
        });
    }
    group.finish();
}

/// Pods that keep even among ten zones, off each other's hosts, or prefer to. One of the pods on every second node is of their kind.
fn near_and_far(criterion: &mut Criterion) {
    let term = |key: &str| json!({ "topologyKey": key, "labelSelector": { "matchLabels": { "app": "web" } } });
    let (mut constraint, host) = (term("zone"), term("kubernetes.io/hostname"));
    constraint["maxSkew"] = json!(1);
    constraint["whenUnsatisfiable"] = json!("DoNotSchedule");
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [host] });
    let preferred =
        json!({ "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 100, "podAffinityTerm": host }] });
    let mut group = criterion.benchmark_group("near_and_far");
    group.throughput(Throughput::Elements(1));
    for (name, spec) in [
        ("spread_over_zones", json!({ "topologySpreadConstraints": [constraint] })),
        ("anti_affinity_of_hosts", json!({ "affinity": { "podAntiAffinity": required } })),
        ("preferred_anti_affinity_of_hosts", json!({ "affinity": { "podAntiAffinity": preferred } })),
    ] {
        let web = |id: &str, node: Option<&str>| {
            let mut pod = serde_json::to_value(&**pod(id, "100m", node).pod()).unwrap();
            pod["metadata"]["labels"] = json!({ "app": "web" });
            pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            Arc::new(PodInfo::from(serde_json::from_value::<Pod>(pod).unwrap()))
        };
        for nodes in [100, 1000, 5000] {
            let mut cache = cluster(nodes);
            for i in 0..nodes {
                let name = format!("n{i:05}");
                let mut zoned = (*node(&name)).clone();
                zoned.metadata.labels.as_mut().unwrap().insert("zone".to_owned(), format!("z{}", i % 10));
                cache.set_node(Arc::new(zoned));
                if i / 10 % 2 == 0 {
                    cache.set_pod(web(&format!("{name}-0"), Some(&name)));
                }
            }
            let framework = Framework::kubernetes();
            let waiting = web("waiting", None);
            let mut seed = 0;
            group.bench_function(BenchmarkId::new(name, nodes), |bencher| {
                bencher.iter(|| {
                    seed += 1;
                    let placement = framework.schedule(&waiting, &cache.snapshot(), seed).unwrap();
                    assert!(cache.assume(waiting.clone(), &placement.node));
                    cache.forget(waiting.id());
                });
            });
        }
    }
    group.finish();
}

/// Every node is full of pods of lower priority: one of them has to go.
fn preemption(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preemption");
    group.throughput(Throughput::Elements(1));
    let framework = Framework::kubernetes();
    for nodes in [100, 1000, 5000] {
        let cluster = cluster_of(nodes, "3200m");
        let important = important("important", "3");
        let mut seed = 0;
        group.bench_function(BenchmarkId::new("find_victims", nodes), |bencher| {
            bencher.iter(|| {
                seed += 1;
                match framework.schedule(&important, &cluster.snapshot(), seed) {
                    Err(ScheduleError::Unschedulable(found)) => {
                        assert!(matches!(found.nomination(), Nomination::For { victims, .. } if victims.len() == 1));
                    }
                    other => panic!("{other:?}"),
                }
            });
        });
    }
    group.finish();
}

/// Gangs of a hundred pods: each is decided about on the cluster as those before it left it.
fn gangs(criterion: &mut Criterion) {
    const PODS: usize = 100;
    let mut group = criterion.benchmark_group("gangs");
    group.throughput(Throughput::Elements(PODS as u64));
    let framework = Framework::kubernetes();
    let pods = (0..PODS).map(|index| pod(&format!("g{index}"), "10m", None)).collect();
    let gang = Gang { group: ObjectKey::cluster("g"), pods, missing: PODS, unmet: Rejection::new("unmet") };
    for nodes in [100, 1000, 5000] {
        let cluster = cluster(nodes);
        let mut seed = 0;
        group.bench_function(BenchmarkId::new("a_hundred_pods", nodes), |bencher| {
            bencher.iter(|| {
                let mut trial = GangTrial::new(&gang, cluster.snapshot());
                while let Some((pod, snapshot)) = trial.next() {
                    seed += 1;
                    let result = framework.schedule(pod, snapshot, seed);
                    trial.answer(result);
                }
                assert_eq!(trial.end().outcome, GangOutcome::Placed);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decision, near_and_far, preemption, gangs);
criterion_main!(benches);
