//! Who is behind a Service while a rollout replaces its pods, in a whole cluster with kubelets.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api,
    api::{ListParams, Patch, PostParams},
    runtime::{WatchStreamExt, wait::await_condition, watcher},
};
use orchestra_core::{clock::TokioClock, condition};
use orchestra_runtime::Cluster;
use serde_json::{Value, json};

const REPLICAS: i32 = 6;

fn deployment(image: &str) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 2}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    })
}

fn rolled_out(deployment: Option<&Deployment>) -> bool {
    let Some(Deployment { metadata, status: Some(status), .. }) = deployment else { return false };
    status.observed_generation == metadata.generation
        && [status.replicas, status.updated_replicas, status.available_replicas] == [Some(REPLICAS); 3]
}

/// The addresses of ready endpoints.
fn ready(slices: &[EndpointSlice]) -> BTreeSet<String> {
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|endpoint| endpoint.conditions.as_ref().and_then(|all| all.ready) == Some(true));
    ready.flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    condition::is_true(conditions, "Ready") && pod.metadata.deletion_timestamp.is_none()
}

#[tokio::test(start_paused = true)]
async fn a_rollout_never_leaves_a_service_with_fewer_ready_endpoints_than_replicas() {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = Cluster::builder().clock(Arc::new(clock)).seed(3).nodes(3).start().await.unwrap();
    let client = cluster.client();
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let services = Api::<Service>::default_namespaced(client.clone());
    let slices = Api::<EndpointSlice>::default_namespaced(client.clone());
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment("a")).unwrap()).await.unwrap();
    await_condition(deployments.clone(), "web", rolled_out).await.unwrap();
    let of_web = || ListParams::default().labels("kubernetes.io/service-name=web");
    let replicas = usize::try_from(REPLICAS).unwrap();
    let full =
        |slice: Option<&EndpointSlice>| slice.is_some_and(|slice| ready(std::slice::from_ref(slice)).len() == replicas);
    let name = slices.list(&of_web()).await.unwrap().items.remove(0).metadata.name.unwrap();
    await_condition(slices.clone(), &name, full).await.unwrap();

    let least = Arc::new(AtomicUsize::new(usize::MAX));
    let changes = watcher(slices.clone(), watcher::Config::default().labels("kubernetes.io/service-name=web"));
    let watching = tokio::spawn({
        let least = Arc::clone(&least);
        changes.applied_objects().for_each(move |slice| {
            least.fetch_min(slice.map_or(usize::MAX, |slice| ready(&[slice]).len()), Ordering::Relaxed);
            std::future::ready(())
        })
    });
    deployments.patch("web", &Default::default(), &Patch::Merge(deployment("b"))).await.unwrap();
    await_condition(deployments.clone(), "web", rolled_out).await.unwrap();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    loop {
        let listed = pods.list(&ListParams::default().labels("app=web")).await.unwrap().items;
        let wanted: BTreeSet<String> =
            listed.iter().filter(|pod| is_ready(pod)).filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect();
        if wanted.len() == replicas && ready(&slices.list(&of_web()).await.unwrap().items) == wanted {
            break;
        }
        tokio::task::yield_now().await;
    }
    watching.abort();
    assert_eq!(least.load(Ordering::Relaxed), replicas);
    cluster.shut_down().await;
}
