//! Pods that get nodes together, through all parts of a cluster: the API server commits their bindings in one transaction.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, future::join_all};
use k8s_openapi::api::{
    core::v1::{Node, Pod},
    scheduling::v1alpha2::PodGroup,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::wait::await_condition,
};
use orchestra_core::{
    clock::TokioClock, event_recorder::EventRecorder, informer::InformerFactory, quantity::Quantity, random::Generator,
};
use orchestra_runtime::{Cluster, ClusterBuilder};
use orchestra_sched::{
    driver::{DEFAULT_SCHEDULER_NAME, SchedulerDriver},
    framework::Framework,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

fn clock() -> Arc<TokioClock> {
    Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
}

async fn cluster(change: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Cluster {
    change(Cluster::builder().clock(clock()).seed(5).nodes(2)).start().await.expect("a cluster")
}

/// A third of a node's processors, in thousandths.
async fn third(client: &Client) -> String {
    let node = Api::<Node>::all(client.clone()).get("node-1").await.expect("a node");
    let room = node.status.and_then(|status| status.allocatable).expect("allocatable")["cpu"].0.clone();
    let room: Quantity = room.parse().expect("a quantity");
    format!("{}m", room.milli_value() / 3)
}

async fn cordon(client: &Client, node: &str, cordoned: bool) {
    let patch = Patch::Merge(json!({ "spec": { "unschedulable": cordoned } }));
    let nodes = Api::<Node>::all(client.clone());
    nodes.patch(node, &PatchParams::default(), &patch).await.expect("the API server answers");
}

async fn create_gang(client: &Client, name: &str, count: usize, cpu: &str) {
    let spec = json!({ "schedulingPolicy": { "gang": { "minCount": count } } });
    let group: PodGroup =
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).expect("a pod group");
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &group).await.expect("it is created");
    for index in 0..count {
        create_pod(client, &format!("{name}-{index}"), cpu, json!({ "schedulingGroup": { "podGroupName": name } }))
            .await;
    }
}

async fn create_pod(client: &Client, name: &str, cpu: &str, mut spec: Value) {
    spec["containers"] = json!([{ "name": "main", "image": "nginx", "resources": { "requests": { "cpu": cpu } } }]);
    spec["terminationGracePeriodSeconds"] = json!(1);
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).expect("a pod");
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &pod).await.expect("it is created");
}

fn pods(client: &Client) -> Api<Pod> {
    Api::default_namespaced(client.clone())
}

fn has_node(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

async fn bound(client: &Client) -> Vec<String> {
    let list = pods(client).list(&ListParams::default()).await.expect("the API server answers");
    list.items.iter().filter(|pod| has_node(pod)).map(ResourceExt::name_any).collect()
}

/// Waits for the group's condition to have this status and reason.
async fn told(client: &Client, group: &str, status: &str, reason: &str) {
    let is_told = |group: Option<&PodGroup>| {
        let conditions = group.and_then(|group| group.status.as_ref()?.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|c| c.type_ == "PodGroupScheduled" && c.status == status && c.reason == reason)
    };
    await_condition(Api::default_namespaced(client.clone()), group, is_told).await.expect("the watch goes on");
}

/// The versions with which a watch first tells that pods have a node, by pod, from `version` on until there are `count` of them.
async fn binding_versions(client: &Client, version: &str, count: usize) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut events = pods(client).watch(&WatchParams::default(), version).await.expect("a watch").boxed();
    while versions.len() < count {
        if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) =
            events.next().await.expect("more").expect("an event")
            && has_node(&pod)
        {
            versions.entry(pod.name_any()).or_insert(pod.resource_version().expect("a version"));
        }
    }
    versions
}

async fn version(client: &Client) -> String {
    let list = pods(client).list(&ListParams::default()).await.expect("the API server answers");
    list.metadata.resource_version.expect("a version")
}

fn all_equal(versions: &BTreeMap<String, String>) -> bool {
    versions.values().all(|version| Some(version) == versions.values().next())
}

#[tokio::test(start_paused = true)]
async fn a_gang_gets_its_nodes_in_one_transaction_when_there_is_room_for_all_of_it() {
    let cluster = cluster(|builder| builder).await;
    let client = cluster.client();
    cordon(&client, "node-2", true).await;
    create_gang(&client, "g", 4, &third(&client).await).await;
    told(&client, "g", "False", "Unschedulable").await;
    assert_eq!(bound(&client).await, Vec::<String>::new(), "there is room for three");
    let since = version(&client).await;
    cordon(&client, "node-2", false).await;
    let versions = binding_versions(&client, &since, 4).await;
    assert!(all_equal(&versions), "{versions:?}");
    told(&client, "g", "True", "Scheduled").await;
    let is_running = |pod: Option<&Pod>| pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Running");
    let running = (0..4).map(|index| {
        let pods = pods(&client);
        async move { await_condition(pods, &format!("g-{index}"), is_running).await.map(drop) }
    });
    join_all(running).await.into_iter().collect::<Result<Vec<()>, _>>().expect("all of them run");
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_gangs_one_gets_all_that_it_needs_and_the_other_when_that_goes() {
    let cluster = cluster(|builder| builder).await;
    let client = cluster.client();
    for node in ["node-1", "node-2"] {
        cordon(&client, node, true).await;
    }
    let cpu = third(&client).await;
    create_gang(&client, "g", 4, &cpu).await;
    create_gang(&client, "h", 4, &cpu).await;
    for group in ["g", "h"] {
        told(&client, group, "False", "Unschedulable").await;
    }
    let since = version(&client).await;
    for node in ["node-1", "node-2"] {
        cordon(&client, node, false).await;
    }
    let first = binding_versions(&client, &since, 4).await;
    let winner = first.keys().next().expect("four pods").split('-').next().expect("a name").to_owned();
    assert!(first.keys().all(|name| name.starts_with(&winner)), "{first:?}");
    let loser = if winner == "g" { "h" } else { "g" };
    // Time enough for any number of attempts.
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    assert_eq!(bound(&client).await.len(), 4);
    let since = version(&client).await;
    for name in first.keys().take(2) {
        pods(&client).delete(name, &DeleteParams::default()).await.expect("it goes");
    }
    let mut then = binding_versions(&client, &since, 4).await;
    then.retain(|name, _| name.starts_with(loser));
    while then.len() < 4 {
        then = binding_versions(&client, &since, 6).await;
        then.retain(|name, _| name.starts_with(loser));
    }
    assert!(all_equal(&then), "{then:?}");
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_finds_half_of_a_gang_bound_binds_the_rest_at_once() {
    let cluster = cluster(ClusterBuilder::without_scheduler).await;
    let client = cluster.client();
    create_gang(&client, "g", 4, "100m").await;
    for name in ["g-0", "g-1"] {
        let binding = json!({ "metadata": { "name": name }, "target": { "kind": "Node", "name": "node-1" } });
        let (pods, params) = (pods(&client), PostParams::default());
        let bound = pods.create_subresource::<_, Value>("binding", name, &params, &binding).await;
        bound.expect("it is bound");
    }
    let since = version(&client).await;
    let informers = InformerFactory::new(client.clone());
    let recorder = EventRecorder::reporting(client.clone(), DEFAULT_SCHEDULER_NAME, "default-scheduler-1", clock());
    let scheduler = Arc::new(Framework::kubernetes());
    let seeds = Generator::seeded(1);
    let stop = CancellationToken::new();
    let driver = SchedulerDriver::new(client.clone(), informers.clone(), scheduler, recorder, clock(), seeds);
    let driver = tokio::spawn(driver.run(stop.clone()));
    let mut versions = binding_versions(&client, &since, 2).await;
    while !(versions.contains_key("g-2") && versions.contains_key("g-3")) {
        versions = binding_versions(&client, &since, versions.len() + 1).await;
    }
    assert_eq!(versions["g-2"], versions["g-3"], "{versions:?}");
    stop.cancel();
    driver.await.expect("it ends");
    informers.shut_down().await;
    cluster.shut_down().await;
}
