//! A pod of a higher priority takes the place of another, through all parts of a cluster.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::{
    core::v1::{Event, Pod, PodCondition},
    policy::v1::PodDisruptionBudget,
    scheduling::v1::PriorityClass,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
    runtime::wait::await_condition,
};
use orchestra_core::{ObjectKey, clock::TokioClock};
use orchestra_runtime::Cluster;
use serde_json::json;

async fn create_class(client: &Client, name: &str, value: i32) {
    let class: PriorityClass = serde_json::from_value(json!({ "metadata": { "name": name }, "value": value }))
        .expect("the object is a priority class");
    Api::all(client.clone()).create(&PostParams::default(), &class).await.expect("the API server answers");
}

fn pod(name: &str, class: &str, cpu: &str) -> Pod {
    let container = json!({ "name": "main", "image": "nginx", "resources": { "requests": { "cpu": cpu } } });
    let spec = json!({ "priorityClassName": class, "containers": [container], "terminationGracePeriodSeconds": 5 });
    serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).expect("the object is a pod")
}

fn is_running(pod: Option<&Pod>) -> bool {
    pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// The states of pods after `version`, until one is as it should be; of deleted pods the last one.
async fn states_until(pods: &Api<Pod>, version: &str, is_last: impl Fn(&Pod) -> bool) -> Vec<Pod> {
    let mut states = Vec::new();
    let mut events = pods.watch(&WatchParams::default(), version).await.expect("the API server answers").boxed();
    while let Some(event) = events.next().await {
        if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod) = event.expect("an event")
        {
            states.push(pod);
        }
        if states.last().is_some_and(&is_last) {
            return states;
        }
    }
    panic!("it never came to that: {states:#?}");
}

fn disruption(pod: &Pod) -> Option<&PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == "DisruptionTarget")
}

#[tokio::test(start_paused = true)]
async fn an_important_pod_takes_the_place_of_another_and_all_is_told() {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = Cluster::builder().clock(Arc::new(clock)).seed(5).nodes(1).start().await.unwrap();
    let client = cluster.client();
    create_class(&client, "low", 10).await;
    create_class(&client, "high", 1000).await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(client.clone());
    let room = nodes.get("node-1").await.unwrap().status.unwrap().allocatable.unwrap()["cpu"].0.clone();

    pods.create(&PostParams::default(), &pod("victim", "low", &room)).await.unwrap();
    let victim = await_condition(pods.clone(), "victim", is_running).await.unwrap().unwrap();
    let version = victim.metadata.resource_version.clone().unwrap();
    let preemptor = pods.create(&PostParams::default(), &pod("preemptor", "high", &room)).await.unwrap();
    let states = states_until(&pods, &version, |pod| pod.name_any() == "preemptor" && is_running(Some(pod))).await;

    let of = |name: &'static str| states.iter().filter(move |pod| pod.name_any() == name);
    let going = of("victim").find(|pod| pod.metadata.deletion_timestamp.is_some()).unwrap();
    let condition = disruption(going).unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_deref()), ("True", Some("PreemptionByScheduler")));
    let message = "default-scheduler: preempting to accommodate a higher priority pod";
    assert_eq!(condition.message.as_deref(), Some(message));
    let nominated = |pod: &Pod| pod.status.as_ref().and_then(|status| status.nominated_node_name.clone());
    assert!(of("preemptor").any(|pod| nominated(pod).as_deref() == Some("node-1")));
    assert_eq!(of("preemptor").next_back().and_then(nominated), None, "it is cleared with the binding");
    let uid = victim.metadata.uid.unwrap();

    let events = Api::<Event>::default_namespaced(client).list(&ListParams::default()).await.unwrap().items;
    let preempted = events.iter().find(|event| event.reason.as_deref() == Some("Preempted")).unwrap();
    let preemptor_uid = preemptor.metadata.uid.unwrap();
    assert_eq!(preempted.message, Some(format!("Preempted by pod {preemptor_uid} on node node-1")));
    assert_eq!(preempted.action.as_deref(), Some("Preempting"));
    assert_eq!(preempted.type_.as_deref(), Some("Normal"));
    assert_eq!(preempted.involved_object.uid, Some(uid));
    assert_eq!(preempted.related.as_ref().and_then(|related| related.uid.clone()), Some(preemptor_uid));
    let failed = events.iter().find(|event| event.reason.as_deref() == Some("FailedScheduling")).unwrap();
    assert_eq!(failed.message.as_deref(), Some("0/1 nodes are available: 1 Insufficient cpu."));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_a_budget_guards_is_spared_for_a_more_important_one() {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = Cluster::builder().clock(Arc::new(clock)).seed(5).nodes(2).start().await.unwrap();
    let client = cluster.client();
    // Without the budget the least important would have to go.
    for (name, value) in [("least", 5), ("low", 10), ("high", 1000)] {
        create_class(&client, name, value).await;
    }
    let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(client.clone());
    let room = nodes.get("node-1").await.unwrap().status.unwrap().allocatable.unwrap()["cpu"].0.clone();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    for (name, class) in [("guarded", "least"), ("free", "low")] {
        let mut pod = pod(name, class, &room);
        pod.labels_mut().insert("app".to_owned(), name.to_owned());
        pods.create(&PostParams::default(), &pod).await.unwrap();
        await_condition(pods.clone(), name, is_running).await.unwrap();
    }
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": { "app": "guarded" } } });
    let budget = serde_json::from_value(json!({ "metadata": { "name": "guard" }, "spec": spec })).unwrap();
    let budgets = Api::<PodDisruptionBudget>::default_namespaced(client.clone());
    budgets.create(&PostParams::default(), &budget).await.unwrap();
    // The scheduler must have heard of it.
    let known = cluster.informers().informer::<PodDisruptionBudget>();
    let key = ObjectKey::namespaced("default", "guard");
    let healthy = || known.get(&key).and_then(|budget| budget.status.as_ref()?.current_healthy);
    while healthy() != Some(1) {
        tokio::task::yield_now().await;
    }

    let preemptor = pods.create(&PostParams::default(), &pod("preemptor", "high", &room)).await.unwrap();
    await_condition(pods.clone(), "preemptor", is_running).await.unwrap();
    assert!(pods.get_opt("free").await.unwrap().is_none(), "it had to go");
    let guarded = pods.get("guarded").await.unwrap();
    assert!(guarded.metadata.deletion_timestamp.is_none() && is_running(Some(&guarded)));
    let events = Api::<Event>::default_namespaced(client).list(&ListParams::default()).await.unwrap().items;
    let preempted: Vec<_> = events.iter().filter(|event| event.reason.as_deref() == Some("Preempted")).collect();
    assert_eq!(preempted.len(), 1);
    assert_eq!(preempted[0].involved_object.name.as_deref(), Some("free"));
    assert_eq!(preempted[0].related.as_ref().unwrap().uid, preemptor.metadata.uid);
    cluster.shut_down().await;
}
