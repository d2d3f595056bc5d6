use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::sleep;

use crate::world::{World, has_taints, is_pod_ready, is_ready, is_terminating, names, taints};

#[tokio::test(start_paused = true)]
async fn a_silent_node_becomes_unknown_and_its_pods_are_replaced_on_another() {
    let mut world = World::start(2).await;
    world.deploy(4).await;
    let (on_1, on_2) = (world.pods_on("n1").await, world.pods_on("n2").await);
    assert_eq!((on_1.len(), on_2.len()), (2, 2));
    let begun = world.seconds();
    world.stop_kubelet("n2").await;

    let node = world.node("n2", |node: Option<&Node>| node.is_some_and(|node| taints(node).len() == 2)).await.unwrap();
    // Fifty seconds after the last heartbeat, of which there is one every ten.
    assert!((40..=50).contains(&(world.seconds() - begun)), "{}", world.seconds() - begun);
    assert_eq!(taints(&node), ["unreachable:NoSchedule", "unreachable:NoExecute"]);
    assert!(node.spec.unwrap().taints.unwrap().iter().all(|taint| taint.time_added.is_some()));
    let conditions = node.status.unwrap().conditions.unwrap();
    for condition in &conditions {
        assert_eq!((condition.status.as_str(), condition.reason.as_deref()), ("Unknown", Some("NodeStatusUnknown")));
        assert_eq!(condition.message.as_deref(), Some("Kubelet stopped posting node status."));
    }
    for pod in names(&on_2) {
        world.pod(&pod, |pod: Option<&Pod>| pod.is_some_and(|pod| !is_pod_ready(pod) && !is_terminating(pod))).await;
    }
    world.available(2).await;

    // Pods tolerate that for five minutes unless they say otherwise.
    let unreachable = world.seconds();
    world.available(4).await;
    assert_eq!(world.seconds() - unreachable, 300);
    assert_eq!(world.pods_on("n1").await.len(), 4);
    for pod in world.pods_on("n2").await {
        let conditions = pod.status.as_ref().unwrap().conditions.as_ref().unwrap();
        let target = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
        assert!(is_terminating(&pod));
        assert_eq!(target.reason.as_deref(), Some("DeletionByTaintManager"));
    }
    let node_events = [("Node".to_owned(), "Node n2 status is now: NodeNotReady".to_owned())];
    let mut events = world.events("NodeNotReady").await;
    assert_eq!(events.extract_if(.., |(kind, _)| kind == "Pod").count(), 2);
    assert_eq!(events, node_events);
    let evicted: Vec<_> = names(&on_2).iter().map(|pod| format!("Marking for deletion Pod default/{pod}")).collect();
    let events = world.events("TaintManagerEviction").await;
    assert_eq!(events.into_iter().map(|(_, message)| message).collect::<Vec<_>>(), evicted);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_in_time_keeps_its_pods() {
    let mut world = World::start(2).await;
    let before = world.run_pod("a", "n2", json!({})).await;
    world.stop_kubelet("n2").await;
    world.node("n2", has_taints(&["unreachable:NoSchedule", "unreachable:NoExecute"])).await;
    sleep(Duration::from_secs(100)).await;
    world.start_kubelet("n2");
    world.node("n2", has_taints(&[])).await;
    let after = world.pod("a", |pod: Option<&Pod>| pod.is_some_and(is_pod_ready)).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(world.pods().get("a").await.unwrap().uid(), before.uid());
    let restarts = |pod: &Pod| pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0].restart_count;
    assert_eq!(restarts(&after), 0);
    let events = world.events("TaintManagerEviction").await;
    assert_eq!(events, [("Pod".to_owned(), "Cancelling deletion of Pod default/a".to_owned())]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_takes_back_what_was_said_of_its_node() {
    let world = World::start(1).await;
    let unknown =
        json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}});
    world.nodes().patch_status("n1", &PatchParams::default(), &Patch::Strategic(unknown)).await.unwrap();
    world.node("n1", has_taints(&["unreachable:NoSchedule"])).await;
    let begun = world.seconds();
    world.node("n1", |node: Option<&Node>| node.is_some_and(|node| is_ready(node) && taints(node).is_empty())).await;
    assert!(world.seconds() - begun <= 10);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_pod_is_evicted_while_no_node_is_heard_of() {
    let mut world = World::start(3).await;
    for node in ["n1", "n2", "n3"] {
        world.run_pod(&format!("on-{node}"), node, json!({})).await;
        world.stop_kubelet(node).await;
    }
    sleep(Duration::from_secs(3600)).await;
    for node in ["n1", "n2", "n3"] {
        assert_eq!(taints(&world.nodes().get(node).await.unwrap()), ["unreachable:NoSchedule"]);
    }
    assert!(world.pods().list(&Default::default()).await.unwrap().iter().all(|pod| !is_terminating(pod)));
    // One that is heard of again shows that the others are not.
    world.start_kubelet("n1");
    world.node("n1", has_taints(&[])).await;
    let begun = world.seconds();
    let both = &["unreachable:NoSchedule", "unreachable:NoExecute"];
    world.node("n2", has_taints(both)).await;
    world.node("n3", has_taints(both)).await;
    // One after the other.
    assert!((10..=20).contains(&(world.seconds() - begun)), "{}", world.seconds() - begun);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_posts_no_status_is_given_up_after_a_minute() {
    let world = World::start(1).await;
    let begun = world.seconds();
    let node = serde_json::from_value(json!({"metadata": {"name": "mute"}})).unwrap();
    world.nodes().create(&Default::default(), &node).await.unwrap();
    let both = &["unreachable:NoSchedule", "unreachable:NoExecute"];
    let node = world.node("mute", has_taints(both)).await.unwrap();
    assert_eq!(world.seconds() - begun, 60);
    let conditions = node.status.unwrap().conditions.unwrap();
    let reasons: Vec<&str> = conditions.iter().filter_map(|condition| condition.reason.as_deref()).collect();
    assert_eq!(reasons, ["NodeStatusNeverUpdated"; 4]);
    world.end().await;
}
