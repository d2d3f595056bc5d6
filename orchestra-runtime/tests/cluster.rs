//! A whole cluster in one process.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request};
use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod},
};
use kube::{
    Api, Client, Discovery, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PostParams, WatchEvent, WatchParams},
    discovery::verbs,
    runtime::wait::await_condition,
};
use orchestra_core::clock::TokioClock;
use orchestra_runtime::{
    Cluster, ClusterBuilder,
    container::{ImageScript, MemoryRuntime},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use tower::ServiceExt;

fn deployment(name: &str, replicas: i32) -> Deployment {
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "nginx"}]},
            },
        },
    });
    serde_json::from_value(object).expect("the object is a deployment")
}

fn pod(name: &str, image: &str, cpu: &str) -> Pod {
    let object = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": image, "resources": {"requests": {"cpu": cpu}}}]},
    });
    serde_json::from_value(object).expect("the object is a pod")
}

/// A cluster that one seed determines, in time that passes when nothing else is to do.
fn simulated(seed: u64) -> ClusterBuilder {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time"));
    Cluster::builder().clock(Arc::new(clock)).seed(seed)
}

fn available(replicas: i32) -> impl Fn(Option<&Deployment>) -> bool {
    move |deployment| {
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        status.and_then(|status| status.available_replicas) == Some(replicas)
    }
}

fn rolled_out(replicas: i32) -> impl Fn(Option<&Deployment>) -> bool {
    move |deployment| {
        let Some(Deployment { metadata, status: Some(status), .. }) = deployment else { return false };
        status.observed_generation == metadata.generation
            && [status.replicas, status.updated_replicas, status.available_replicas] == [Some(replicas); 3]
    }
}

fn running(pod: Option<&Pod>) -> bool {
    pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.phase.as_deref()) == Some("Running")
}

async fn create_and_wait(client: &Client, name: &str, replicas: i32) {
    let api = Api::<Deployment>::default_namespaced(client.clone());
    api.create(&PostParams::default(), &deployment(name, replicas)).await.expect("the API server answers");
    await_condition(api, name, available(replicas)).await.expect("the API server answers");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_runs_and_a_deleted_pod_is_replaced() {
    let cluster = simulated(1).nodes(2).start().await.unwrap();
    let client = cluster.client();
    create_and_wait(&client, "web", 3).await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let before = pods.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(before.len(), 3);
    let (name, uid) = (before[0].name_any(), before[0].uid().unwrap());
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    await_condition(pods.clone(), &name, kube::runtime::conditions::is_deleted(&uid)).await.unwrap();
    let api = Api::<Deployment>::default_namespaced(client);
    await_condition(api, "web", available(3)).await.unwrap();
    let after = pods.list(&ListParams::default()).await.unwrap().items;
    assert!(after.len() == 3 && after.iter().all(|pod| pod.uid().as_deref() != Some(&uid)));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fits_nowhere_says_why_and_is_bound_when_room_comes() {
    let cluster = simulated(2).nodes(1).start().await.unwrap();
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    pods.create(&PostParams::default(), &pod("large", "nginx", "1000")).await.unwrap();
    let unschedulable = |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|condition| condition.reason.as_deref() == Some("Unschedulable")))
    };
    let seen = await_condition(pods.clone(), "large", unschedulable).await.unwrap().unwrap();
    let conditions = seen.status.unwrap().conditions.unwrap();
    let message = conditions.iter().find_map(|condition| condition.message.clone()).unwrap();
    assert!(message.starts_with("0/1 nodes are available: 1 Insufficient cpu."), "{message}");
    let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(cluster.client());
    let room = json!({"status": {"allocatable": {"cpu": "2000"}, "capacity": {"cpu": "2000"}}});
    nodes.patch_status("node-1", &Default::default(), &kube::api::Patch::Merge(room)).await.unwrap();
    let bound = |pod: Option<&Pod>| pod.and_then(|pod| pod.spec.as_ref()).is_some_and(|spec| spec.node_name.is_some());
    await_condition(pods, "large", bound).await.unwrap();
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_is_restarted_with_growing_delay() {
    let script = ImageScript { exit_code_after: Some((Duration::from_secs(1), 1)), ..ImageScript::default() };
    let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
    let runtime = Arc::new(MemoryRuntime::new().clock(clock.clone()).image("crash", script));
    let cluster = Cluster::builder().clock(clock).seed(3).node("n1", runtime).start().await.unwrap();
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    pods.create(&PostParams::default(), &pod("crash", "crash", "10m")).await.unwrap();
    let restarted = |pod: Option<&Pod>| {
        let statuses = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.container_statuses.as_ref());
        statuses.is_some_and(|all| all.iter().any(|status| status.restart_count >= 3))
    };
    let begun = tokio::time::Instant::now();
    let waited =
        tokio::time::timeout(Duration::from_secs(600), await_condition(pods.clone(), "crash", restarted)).await;
    assert!(waited.is_ok(), "{:?}", pods.get("crash").await.unwrap().status);
    // Three restarts wait for 10, 20 and 40 seconds, the first at most not at all.
    assert!(begun.elapsed() >= Duration::from_secs(30), "{:?}", begun.elapsed());
    let events = Api::<Event>::default_namespaced(cluster.client()).list(&ListParams::default()).await.unwrap();
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("BackOff")));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn pods_run_on_every_node_of_a_larger_cluster() {
    let cluster = simulated(4).nodes(20).start().await.unwrap();
    create_and_wait(&cluster.client(), "web", 100).await;
    let pods = Api::<Pod>::default_namespaced(cluster.client()).list(&ListParams::default()).await.unwrap();
    assert!(pods.items.iter().all(|pod| running(Some(pod))));
    let nodes: BTreeSet<_> = pods.items.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    assert_eq!(nodes.len(), 20);
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_in_one_instant_is_told_in_as_many_events() {
    let cluster = simulated(5).nodes(1).start().await.unwrap();
    create_and_wait(&cluster.client(), "web", 2).await;
    let events = Api::<Event>::default_namespaced(cluster.client());
    let told = events.watch(&WatchParams::default(), "0").await.unwrap().take(13);
    let reasons = told.map(|event| match event {
        Ok(WatchEvent::Added(event)) => event.reason.unwrap(),
        other => panic!("not a new event: {other:?}"),
    });
    let mut reasons: Vec<String> = reasons.collect().await;
    reasons.sort_unstable();
    let of_each_pod = ["Created", "Pulled", "Pulling", "Scheduled", "Started", "SuccessfulCreate"];
    let mut expected: Vec<&str> = of_each_pod.into_iter().chain(of_each_pod).chain(["ScalingReplicaSet"]).collect();
    expected.sort_unstable();
    assert_eq!(reasons, expected);
    cluster.shut_down().await;
}

/// Notes, in their order, all events of all watches there are, from before anything was asked of the cluster to its end.
async fn note_all_events(cluster: &Cluster) -> (Arc<Mutex<Vec<u8>>>, JoinSet<()>) {
    let discovery = Discovery::new(cluster.client()).run().await.expect("the API server answers");
    let resources = discovery
        .groups()
        .flat_map(|group| group.versions().flat_map(|version| group.versioned_resources(version)).collect::<Vec<_>>());
    let watchable = resources.filter(|(_, capabilities)| capabilities.supports_operation(verbs::WATCH));
    // In an order of their own: that of a discovery is another one each time.
    let paths: BTreeSet<_> = watchable.map(|(resource, _)| DynamicObject::url_path(&resource, None)).collect();
    let (log, mut watches) = (Arc::new(Mutex::new(Vec::new())), JoinSet::new());
    for path in paths {
        let path = format!("{path}?watch=1&resourceVersion=0");
        let request = Request::get(&path).body(Body::empty()).expect("the path is one");
        let answer = cluster.server().router().oneshot(request).await.expect("the router answers");
        assert!(answer.status().is_success(), "{path}");
        let (mut events, log) = (answer.into_body().into_data_stream(), Arc::clone(&log));
        watches.spawn(async move {
            while let Some(event) = events.next().await {
                let event = event.expect("the watch goes on to the end");
                log.lock().extend([path.as_bytes(), b" ", &event].concat());
            }
        });
    }
    (log, watches)
}

/// All that a client can see of a cluster in which pods are started, crash, are replaced by a rollout, and are deleted.
async fn trace(seed: u64) -> Vec<u8> {
    let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")));
    let slow = ImageScript { pull_time: Duration::from_secs(30), ..ImageScript::default() };
    let crash = ImageScript { exit_code_after: Some((Duration::from_secs(1), 1)), ..ImageScript::default() };
    let runtime = || {
        let runtime = MemoryRuntime::new().clock(clock.clone());
        Arc::new(runtime.image("nginx:2", slow.clone()).image("crash", crash.clone()))
    };
    let cluster = Cluster::builder().clock(clock.clone()).seed(seed).node("n1", runtime()).node("n2", runtime());
    let cluster = cluster.start().await.expect("the cluster starts");
    let (log, mut watches) = note_all_events(&cluster).await;
    let client = cluster.client();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let crashing = pod("crash", "crash", "10m");
    pods.create(&PostParams::default(), &crashing).await.expect("the API server answers");
    create_and_wait(&client, "web", 5).await;
    let deployments = Api::<Deployment>::default_namespaced(client);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}}}});
    deployments.patch("web", &Default::default(), &Patch::Strategic(image)).await.expect("the API server answers");
    await_condition(deployments, "web", rolled_out(5)).await.expect("the API server answers");
    pods.delete("crash", &DeleteParams::default()).await.expect("the API server answers");
    await_condition(pods, "crash", |pod: Option<&Pod>| pod.is_none()).await.expect("the API server answers");
    cluster.shut_down().await;
    while watches.join_next().await.is_some() {}
    std::mem::take(&mut log.lock())
}

#[test]
fn one_seed_gives_one_trace() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(trace(seed))
    };
    let (first, second) = (run(7), run(7));
    let text = String::from_utf8(first).unwrap();
    for kind in ["Pod", "Node", "Lease", "ReplicaSet", "Deployment", "Namespace", "ServiceAccount", "Event"] {
        assert!(text.contains(&format!("\"kind\":\"{kind}\",\"metadata\"")), "no event of a {kind}");
    }
    assert!(text.contains("\"type\":\"DELETED\"") && text.contains("BackOff"));
    // Line by line, so that a difference can be read.
    for (one, other) in text.lines().zip(String::from_utf8(second.clone()).unwrap().lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(text.len(), second.len());
    assert_ne!(text.into_bytes(), run(8));
}
