//! The whole loop under paused time.

use std::sync::Arc;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use orchestra_sched::{
    framework::Framework,
    testing::{LiveCluster, TestCluster, node, pod},
};
use serde_json::json;
use tokio::time::Instant;

fn start(cluster: TestCluster) -> LiveCluster {
    cluster.start(Arc::new(Framework::kubernetes()))
}

#[tokio::test(start_paused = true)]
async fn waiting_pods_are_bound_and_events_say_so() {
    let cluster = TestCluster::new().node(node("n1").cpu(2)).pods([pod("a").cpu(1), pod("b").namespace("shop").cpu(1)]);
    let live = start(cluster);
    assert_eq!((live.bound("a").await, live.bound("shop/b").await), ("n1".to_owned(), "n1".to_owned()));
    let cluster = live.stop().await;
    cluster.assert_nothing_pending();
    cluster.assert_not_overcommitted();
}

#[tokio::test(start_paused = true)]
async fn an_unschedulable_pod_is_bound_when_room_is_made_after_its_back_off() {
    let cluster = TestCluster::new().node(node("n1").cpu(1)).pod(pod("old").cpu(1).on("n1")).pod(pod("new").cpu(1));
    let live = start(cluster);
    assert!(live.unschedulable("new").await.starts_with("0/1 nodes are available: 1 Insufficient cpu."));
    let rejected = Instant::now();
    live.remove_pod("old");
    assert_eq!(live.bound("new").await, "n1");
    assert_eq!(rejected.elapsed().as_secs(), 1, "the first back-off");
    let told = |events: &[String]| {
        events.iter().any(|event| event == "Scheduled new: Successfully assigned default/new to n1")
    };
    while !told(&live.events()) {
        tokio::task::yield_now().await;
    }
    live.stop().await.assert_on("new", "n1");
}

#[tokio::test(start_paused = true)]
async fn nodes_and_pods_come_and_go() {
    let live = start(TestCluster::new());
    live.add_pod(pod("p"));
    assert_eq!(live.unschedulable("p").await, "no nodes available to schedule pods");
    live.add_node(node("n1"));
    assert_eq!(live.bound("p").await, "n1");
    live.remove_node("n1");
    live.remove_pod("p");
    assert_eq!(live.node_of("p"), None);
    assert!(live.stop().await.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_important_pod_preempts_another() {
    let cluster = TestCluster::new().node(node("n1").cpu(1)).pod(pod("low").cpu(1).on("n1"));
    let live = start(cluster.pod(pod("high").cpu(1).priority(1000)));
    assert_eq!(live.bound("high").await, "n1");
    let cluster = live.stop().await;
    cluster.assert_on("high", "n1");
    assert!(cluster.get_pod("low").is_none());
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_course_of_events() {
    let run = async |seed| {
        let nodes = (0..5).map(|i| node(format!("n{i}")));
        let pods = (0..12).map(|i| pod(format!("p{i}")).cpu("300m"));
        let live = start(TestCluster::new().nodes(nodes).pods(pods).seed(seed));
        let mut bound = Vec::new();
        for i in 0..12 {
            bound.push(live.bound(&format!("p{i}")).await);
        }
        live.stop().await;
        bound
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_never_bound_fails_the_test_with_what_happened() {
    let live = start(TestCluster::new().node(node("n1").cpu(1)).pod(pod("p").cpu(2)));
    let panic = std::panic::AssertUnwindSafe(live.bound("p")).catch_unwind().await.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    let expected =
        "pod p should be bound, but is not\n\npods:\ndefault/p (no node) 0/1 nodes are available: 1 Insufficient cpu.";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("events:\nFailedScheduling p: 0/1 nodes are available"), "{text}");
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_makes_objects() {
    let live = start(TestCluster::new().node(node("n1").cpu(1)));
    let api = Api::<Pod>::namespaced(live.client(), "shop");
    let web = pod("web").namespace("shop").build();
    let made = api.create(&PostParams::default(), &web).await.unwrap();
    assert!(made.metadata.uid.is_some());
    assert_eq!(live.bound("shop/web").await, "n1");
    let again = api.create(&PostParams::default(), &web).await.unwrap_err();
    assert!(matches!(again, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists"));
    let named = pod("").with(|pod| (pod.metadata.name, pod.metadata.generate_name) = (None, Some("web-".to_owned())));
    let made = api.create(&PostParams::default(), &named.namespace("shop").build()).await.unwrap();
    assert!(made.metadata.name.unwrap().starts_with("web-"));
}

#[tokio::test(start_paused = true)]
async fn the_kind_of_a_patch_says_what_becomes_of_lists() {
    let live = start(TestCluster::new());
    live.add_pod(pod("p").with(|pod| pod.metadata.finalizers = Some(vec!["example.com/wait".to_owned()])));
    let api = Api::<Pod>::namespaced(live.client(), "default");
    let patched =
        async |patch: Patch<serde_json::Value>| api.patch("p", &PatchParams::default(), &patch).await.unwrap();
    let none = json!({ "metadata": { "finalizers": [] } });
    assert_eq!(patched(Patch::Merge(none)).await.metadata.finalizers, Some(Vec::new()));
    let condition = |kind: &str| json!({ "status": { "conditions": [{ "type": kind, "status": "True" }] } });
    let conditions = |pod: Pod| pod.status.unwrap().conditions.unwrap().len();
    patched(Patch::Merge(condition("A"))).await;
    assert_eq!(conditions(patched(Patch::Strategic(condition("B"))).await), 2);
    assert_eq!(conditions(patched(Patch::Merge(condition("B"))).await), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gang_is_bound_together_or_not_at_all() {
    let live = start(TestCluster::new().node(node("n1").cpu(2)));
    live.add_gang("g", 3, pod("worker").cpu(1));
    live.unschedulable("g-2").await;
    assert_eq!([0, 1, 2].map(|index| live.node_of(&format!("g-{index}"))), [None, None, None]);
    live.add_node(node("n2").cpu(1));
    for index in 0..3 {
        live.bound(&format!("g-{index}")).await;
    }
    let cluster = live.stop().await;
    cluster.assert_nothing_pending();
    cluster.assert_not_overcommitted();
}
