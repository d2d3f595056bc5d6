//! Sandboxes that get no network.

use serde_json::{Value, json};

use crate::{
    containerd::{
        Containerd, image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
    },
    world::World,
};

#[test]
fn pods_wait_for_a_network_and_what_did_not_get_one_leaves_nothing() {
    on_a_node(async |node| {
        let before = what_there_is();
        let world = World::start(&node).await;
        no_network(&world, &node).await;
        a_network_that_fails(&world, &node).await;
        assert_eq!(world.count().await, (0, 0));
        until_there_is(before).await;
        world.shut_down().await;
    });
}

async fn no_network(world: &World, node: &Containerd) {
    node.remove_network();
    let words = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
                 message:Network plugin returns error: cni plugin not initialized";
    let found = world.until_node("False").await;
    assert_eq!((&found["reason"], &found["message"]), (&json!("KubeletNotReady"), &json!(words)));
    let anywhere = json!([{ "operator": "Exists" }]);
    world.add("early", json!({ "containers": [{ "image": image::FOREVER }], "tolerations": anywhere })).await;
    world.event(&format!("NetworkNotReady: network is not ready: {words}")).await;
    // Who has the node's network needs no other.
    let host = json!({ "containers": [{ "image": image::FOREVER }], "tolerations": anywhere, "hostNetwork": true });
    world.add("host", host).await;
    world.ready("host").await;
    assert!(world.events().await.iter().all(|event| !event.starts_with("FailedCreatePodSandBox")));
    node.connect_network();
    world.ready("early").await;
    world.until_node("True").await;
    world.delete("early").await;
    world.delete("host").await;
}

async fn a_network_that_fails(world: &World, node: &Containerd) {
    node.break_network();
    // containerd sees it a moment later.
    while !node.log().contains("no-such-plugin") {
        world.add("offline", json!({ "containers": [{ "image": image::FOREVER }] })).await;
        let settled = |pod: &Value| pod["status"]["phase"] == "Running" || node.log().contains("no-such-plugin");
        world.until("made or not", "offline", settled).await;
        if world.pod("offline").await["status"]["phase"] == "Running" {
            world.delete("offline").await;
        }
    }
    let event = world.event("FailedCreatePodSandBox: Failed to create pod sandbox: ").await;
    let words = "rpc error: code = Unknown desc = failed to setup network for sandbox";
    assert!(event.contains(words) && event.contains("no-such-plugin"), "{event}");
    assert_eq!(world.pod("offline").await["status"]["phase"], "Pending");
    assert_eq!(world.count().await.1, 0);
    node.connect_network();
    let pod = world.ready("offline").await;
    assert!(pod["status"]["podIP"].as_str().unwrap().starts_with("10.88."), "{pod}");
    assert_eq!(world.count().await, (1, 1));
    world.delete("offline").await;
}
