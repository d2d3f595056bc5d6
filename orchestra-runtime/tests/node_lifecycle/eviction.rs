use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    api::{Patch, PatchParams},
    runtime::conditions::is_deleted,
};
use serde_json::{Value, json};

use crate::world::{World, has_taints, is_terminating, taints};

async fn patch_node(world: &World, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    world.nodes().patch("n1", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cordoned_node_has_a_taint_as_long_as_it_is_cordoned() {
    let world = World::start(1).await;
    let pod = world.run_pod("a", "n1", json!({})).await;
    patch_node(&world, json!({"unschedulable": true})).await;
    world.node("n1", has_taints(&["unschedulable:NoSchedule"])).await;
    patch_node(&world, json!({"unschedulable": null})).await;
    world.node("n1", has_taints(&[])).await;
    assert_eq!(world.pods().get("a").await.unwrap().metadata.uid, pod.metadata.uid);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_ill_node_takes_no_pods() {
    let world = World::start(1).await;
    let full = json!({"status": {"conditions": [{"type": "NetworkUnavailable", "status": "True"}]}});
    world.nodes().patch_status("n1", &PatchParams::default(), &Patch::Strategic(full)).await.unwrap();
    world.node("n1", has_taints(&["network-unavailable:NoSchedule"])).await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn pods_leave_a_tainted_node_when_they_no_longer_tolerate_it() {
    let world = World::start(1).await;
    let toleration = |seconds: Option<i64>| {
        let toleration = json!({"key": "maintenance", "operator": "Exists", "tolerationSeconds": seconds,
            "effect": "NoExecute"});
        json!({"tolerations": [toleration]})
    };
    let at_once = world.run_pod("at-once", "n1", json!({})).await;
    let later = world.run_pod("later", "n1", toleration(Some(20))).await;
    world.run_pod("never", "n1", toleration(None)).await;
    let begun = world.seconds();
    patch_node(&world, json!({"taints": [{"key": "maintenance", "effect": "NoExecute"}]})).await;
    world.pod("at-once", is_deleted(&at_once.metadata.uid.unwrap())).await;
    assert_eq!(world.seconds() - begun, 0);
    world.pod("later", is_deleted(&later.metadata.uid.unwrap())).await;
    assert_eq!(world.seconds() - begun, 20);
    assert!(!is_terminating(&world.pods().get("never").await.unwrap()));
    // A pod that comes later has its own time.
    world.run_pod("late", "n1", toleration(Some(5))).await;
    world.pod("late", |pod: Option<&Pod>| pod.is_none()).await;
    assert_eq!(world.seconds() - begun, 25);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn taints_of_others_stay() {
    let mut world = World::start(2).await;
    patch_node(&world, json!({"taints": [{"key": "mine", "value": "v", "effect": "NoSchedule"}]})).await;
    world.stop_kubelet("n1").await;
    world.node("n1", |node: Option<&Node>| node.is_some_and(|node| taints(node).len() == 3)).await;
    world.start_kubelet("n1");
    world.node("n1", has_taints(&["mine:NoSchedule"])).await;
    world.end().await;
}
