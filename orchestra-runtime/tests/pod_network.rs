//! What tells the pods of a cluster apart, whatever runs them.

#![allow(clippy::unwrap_used)] // in what tests share; clippy allows it in tests by itself

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, PostParams},
    runtime::{conditions::is_pod_running, wait::await_condition},
};
use orchestra_core::clock::TokioClock;
use orchestra_runtime::{
    Cluster, ClusterBuilder,
    container::{ImageScript, MemoryRuntime, PortScript},
};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt;

fn simulated() -> ClusterBuilder {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    Cluster::builder().clock(Arc::new(clock)).seed(1)
}

/// Runs so many pods, and says how many nodes, addresses and container ids they have.
async fn spread(cluster: ClusterBuilder, pods: usize) -> [usize; 3] {
    let cluster = cluster.start().await.unwrap();
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": pods, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]},
            },
        },
    });
    let deployments = Api::<Deployment>::default_namespaced(cluster.client());
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let available = |deployment: Option<&Deployment>| {
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        status.and_then(|status| status.available_replicas) == i32::try_from(pods).ok()
    };
    await_condition(deployments, "web", available).await.unwrap();
    let pods = Api::<Pod>::default_namespaced(cluster.client()).list(&ListParams::default()).await.unwrap().items;
    cluster.shut_down().await;
    let mut found = [const { BTreeSet::new() }; 3];
    for pod in pods {
        let status = pod.status.unwrap();
        let container = status.container_statuses.unwrap().remove(0).container_id;
        for (texts, text) in found.iter_mut().zip([pod.spec.unwrap().node_name, status.pod_ip, container]) {
            texts.insert(text.unwrap());
        }
    }
    found.map(|texts| texts.len())
}

#[tokio::test(start_paused = true)]
async fn no_two_pods_share_an_address_or_a_container_id() {
    assert_eq!(spread(simulated().nodes(3), 30).await, [3, 30, 30]);
    let own = ["a", "b", "c"]
        .into_iter()
        .fold(simulated(), |cluster, name| cluster.node(name, Arc::new(MemoryRuntime::new())));
    assert_eq!(spread(own, 30).await, [3, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_of_several_nodes_has_room_for_the_pods_of_all() {
    let runtime = MemoryRuntime::new();
    let shared = ["a", "b", "c"].into_iter().fold(simulated(), |cluster, name| {
        let many = |kubelet: orchestra_runtime::kubelet::KubeletBuilder| kubelet.capacity([("pods", "200")]);
        cluster.node_with(name, Arc::new(runtime.clone()), many)
    });
    assert_eq!(spread(shared, 300).await, [3, 300, 300]);
}

/// The code and the text of an answer of the API server.
async fn asked(cluster: &Cluster, path: &str) -> (u16, String) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let (head, body) = cluster.server().router().oneshot(request).await.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes().to_vec();
    (head.status.as_u16(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn pods_that_are_simulated_are_reached_by_their_addresses() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let web = ImageScript {
        ports: BTreeMap::from([(80, PortScript::At(listener.local_addr().unwrap()))]),
        ..ImageScript::default()
    };
    let app = Router::new().fallback(async |request: axum::extract::Request| request.uri().to_string());
    tokio::spawn(axum::serve(listener, app).into_future());
    let cluster = Cluster::builder().node("n1", Arc::new(MemoryRuntime::new().image("web", web)));
    let cluster = cluster.start().await.unwrap();
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let spec = json!({"containers": [{"name": "main", "image": "web"}]});
    let pod = serde_json::from_value(json!({"metadata": {"name": "one"}, "spec": spec})).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    await_condition(pods, "one", is_pod_running()).await.unwrap();
    let at = |port: u16| format!("/api/v1/namespaces/default/pods/one:{port}/proxy/a?b=c");
    assert_eq!(asked(&cluster, &at(80)).await, (200, "/a?b=c".to_owned()));
    // No port of whoever has that address on this machine's network.
    let (code, refused) = asked(&cluster, &at(81)).await;
    assert_eq!(code, 503);
    let why = "error trying to reach service: dial tcp 10.244.0.2:81: connect: connection refused";
    assert!(refused.contains(why), "{refused}");
    cluster.shut_down().await;
}
