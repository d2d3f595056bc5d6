use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    runtime::conditions::is_deleted,
};
use serde_json::json;
use tokio::time::sleep;

use crate::world::{World, is_terminating, names};

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_are_removed_and_replaced() {
    let world = World::start(2).await;
    world.deploy(4).await;
    let orphans = world.pods_on("n2").await;
    assert_eq!(orphans.len(), 2);
    let begun = world.seconds();
    world.nodes().delete("n2", &DeleteParams::default()).await.unwrap();
    for pod in &orphans {
        world.pod(&pod.name_any(), is_deleted(&pod.uid().unwrap())).await;
    }
    // Looked over every 20 seconds, and only after 40.
    assert!((40..=80).contains(&(world.seconds() - begun)), "{}", world.seconds() - begun);
    world.available(4).await;
    assert_eq!(world.pods_on("n1").await.len(), 4);
    // Its kubelet obeys, and does not bring the node back before it is started again.
    sleep(Duration::from_secs(600)).await;
    assert_eq!(world.runtime("n2").counts(), (0, 0));
    assert!(world.nodes().get_opt("n2").await.unwrap().is_none());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_starts_again_brings_its_node_back() {
    let mut world = World::start(1).await;
    world.nodes().delete("n1", &DeleteParams::default()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    world.stop_kubelet("n1").await;
    world.start_kubelet("n1");
    world.node("n1", |node: Option<&Node>| node.is_some()).await;
    world.run_pod("a", "n1", json!({})).await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_of_a_silent_node_waits_until_the_node_is_declared_out_of_service() {
    let mut world = World::start(2).await;
    let pod = world.run_pod("a", "n2", json!({})).await;
    world.stop_kubelet("n2").await;
    world.pods().delete("a", &DeleteParams::default()).await.unwrap();
    sleep(Duration::from_secs(1000)).await;
    assert!(is_terminating(&world.pods().get("a").await.unwrap()));
    let node = world.nodes().get("n2").await.unwrap();
    let mut taints = serde_json::to_value(node.spec.unwrap().taints.unwrap()).unwrap();
    taints.as_array_mut().unwrap().push(json!({"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}));
    let patch = Patch::Merge(json!({"spec": {"taints": taints}}));
    world.nodes().patch("n2", &PatchParams::default(), &patch).await.unwrap();
    world.pod("a", is_deleted(&pod.uid().unwrap())).await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn pods_bound_to_a_node_that_never_was_are_removed() {
    let world = World::start(1).await;
    let pod = json!({"metadata": {"name": "lost"}, "spec": {"nodeName": "no-such", "containers": [{"name": "c", "image": "i"}]}});
    let pod = world.pods().create(&Default::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    world.run_pod("found", "n1", json!({})).await;
    world.pod("lost", is_deleted(&pod.uid().unwrap())).await;
    assert_eq!(names(&world.pods().list(&Default::default()).await.unwrap().items), ["found"]);
    world.pod("lost", |pod: Option<&Pod>| pod.is_none()).await;
    world.end().await;
}
