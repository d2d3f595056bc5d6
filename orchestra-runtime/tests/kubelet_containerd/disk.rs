//! A disk that is full.

use std::{fs, process::Command};

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use crate::{
    containerd::{
        image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
    },
    process::Settings,
    world::World,
};

const FILL: &str = "/var/lib/kubelet/fill";

#[test]
fn a_node_whose_disk_is_full_ends_who_fills_it_and_recovers() {
    on_a_node(async |node| {
        let before = what_there_is();
        fs::create_dir_all("/var/lib/kubelet").unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=64m", "tmpfs", "/var/lib/kubelet"];
        assert!(Command::new("mount").args(mount).status().unwrap().success());
        let mut world = World::start(&node).await;
        no_room_for_a_volume(&world).await;
        world.stop_kubelet();
        let thresholds = vec![("nodefs.available".to_owned(), "50%".to_owned())];
        // Longer than from one report of the node to the next, so that one tells of it.
        world.start_kubelet(Settings { thresholds, pressure_transition: Some(12), ..Settings::default() });
        pressure(&world).await;
        for pod in ["modest", "greedy", "after"] {
            world.delete(pod).await;
        }
        assert_eq!(world.count().await, (0, 0));
        world.shut_down().await;
        assert!(Command::new("umount").arg("/var/lib/kubelet").status().unwrap().success());
        until_there_is(before).await;
    });
}

async fn no_room_for_a_volume(world: &World) {
    world.create::<ConfigMap>(json!({ "metadata": { "name": "large" }, "data": { "a": "x".repeat(100_000) } })).await;
    // Until there is no room for a byte more.
    fs::write(FILL, vec![0; 80 << 20]).unwrap_err();
    let mounts = json!([{ "name": "large", "mountPath": "/large" }]);
    let volumes = json!([{ "name": "large", "configMap": { "name": "large" } }]);
    let container = json!({ "image": image::FOREVER, "volumeMounts": mounts });
    world.add("modest", json!({ "containers": [container], "volumes": volumes })).await;
    let event = world.event("FailedMount: MountVolume.SetUp failed for volume \"large\" : ").await;
    assert!(event.to_lowercase().contains("no space left on device"), "{event}");
    assert_eq!(world.pod("modest").await["status"]["phase"], "Pending");
    fs::remove_file(FILL).unwrap();
    let pod = world.ready("modest").await;
    assert_eq!(world.shell(&pod, "wc -c < /large/a").await, "100000");
}

async fn pressure(world: &World) {
    world.node_condition("DiskPressure", "False").await;
    let mounts = json!([{ "name": "data", "mountPath": "/data" }]);
    let script = "dd if=/dev/zero of=/data/f bs=1M count=48; exec sleep 1000";
    let container = json!({ "command": ["sh", "-c", script], "volumeMounts": mounts });
    let spec = json!({ "containers": [container], "volumes": [{ "name": "data", "emptyDir": {} }] });
    world.add("greedy", spec).await;
    let found = world.node_condition("DiskPressure", "True").await;
    assert_eq!(
        (&found["reason"], &found["message"]),
        (&json!("KubeletHasDiskPressure"), &json!("kubelet has disk pressure"),)
    );
    let pod = world.until("evicted", "greedy", |pod| pod["status"]["phase"] == "Failed").await;
    let (reason, message) = (&pod["status"]["reason"], pod["status"]["message"].as_str().unwrap());
    assert_eq!(reason, "Evicted");
    let words = "The node was low on resource: ephemeral-storage. Threshold quantity: 32Mi, available: ";
    assert!(message.starts_with(words), "{message}");
    let words = ". Container c0 was using ";
    assert!(message.contains(words) && message.ends_with("has larger consumption of ephemeral-storage. "), "{message}");
    world.event(&format!("Evicted: {message}")).await;
    world.event("EvictionThresholdMet: Attempting to reclaim ephemeral-storage").await;
    world.event("NodeHasDiskPressure: Node n1 status is now: NodeHasDiskPressure").await;
    // What it had is given back, and the node takes pods again.
    world.add("after", json!({ "containers": [{ "image": image::FOREVER }] })).await;
    world.node_condition("DiskPressure", "False").await;
    world.event("NodeHasNoDiskPressure: Node n1 status is now: NodeHasNoDiskPressure").await;
    world.ready("after").await;
    let modest = world.pod("modest").await;
    let is_sound = |container: &Value| container["restartCount"] == 0 && container["ready"] == true;
    assert!(is_sound(&modest["status"]["containerStatuses"][0]), "{modest}");
}
