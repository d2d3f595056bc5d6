//! A runtime that is not there, and one that dies under its pods.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    containerd::{
        image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
    },
    process::Settings,
    world::World,
};

const PAUSE: Duration = Duration::from_millis(20);

#[test]
fn a_kubelet_waits_for_its_runtime_and_its_pods_outlive_it() {
    on_a_node(async |mut node| {
        let before = what_there_is();
        node.kill();
        fs::remove_file(node.socket()).unwrap();
        let mut world = World::without_kubelet(&node).await;
        world.start_kubelet(Settings::default());
        world.add("early", json!({ "containers": [{ "image": image::FOREVER }] })).await;
        world.event("FailedScheduling: no nodes available to schedule pods").await;
        world.kubelet.as_mut().unwrap().assert_running();
        node.resume().await;
        world.until_node("True").await;
        let early = world.ready("early").await;
        world.add("mortal", mortal()).await;
        let mortal = world.ready("mortal").await;

        node.kill();
        // What ends while nobody looks is known after.
        fs::write("/run/shared/die", "").unwrap();
        let condition = world.until_node("False").await;
        assert_eq!(condition["reason"], "KubeletNotReady");
        assert!(condition["message"].as_str().unwrap().starts_with("container runtime is down"), "{condition}");
        world.event("NodeNotReady: Node n1 status is now: NodeNotReady").await;
        // It is neither lost nor told of as ended, though the node is tainted.
        assert_eq!(world.pod("early").await["status"]["containerStatuses"], early["status"]["containerStatuses"]);
        world.add("late", tolerant()).await;
        while fs::exists("/run/shared/die").unwrap() {
            sleep(PAUSE).await;
        }
        node.resume().await;
        world.until_node("True").await;
        world.ready("late").await;
        let restarted = |container: &Value| container["restartCount"] == 1 && container["ready"] == true;
        let again = world.until_first("restarted", "mortal", restarted).await;
        assert_eq!(again["status"]["podIP"], mortal["status"]["podIP"]);
        let now = world.ready("early").await;
        assert_eq!(now["status"]["containerStatuses"], early["status"]["containerStatuses"]);
        assert_eq!(world.shell(&now, "hostname").await, "early");

        // One that is to end while there is no runtime ends when it is back.
        node.kill();
        world.begin_delete("early", 1).await;
        world.begin_delete("late", 1).await;
        node.resume().await;
        world.gone("early").await;
        world.gone("late").await;
        world.delete("mortal").await;
        assert_eq!(world.count().await, (0, 0));
        until_there_is(before).await;
        world.shut_down().await;
    });
}

#[test]
fn pods_come_up_though_their_runtime_dies_meanwhile() {
    on_a_node(async |mut node| {
        let world = World::start(&node).await;
        let pods = ["a", "b", "c", "d"];
        for (number, pod) in pods.into_iter().enumerate() {
            world.add(pod, json!({ "containers": [{ "image": image::FOREVER }, { "image": image::FOREVER }] })).await;
            // Each at another time of its life.
            let is_reached = |count: (usize, usize)| match number {
                0 => true,
                1 => count.0 > 1,
                2 => count.1 > 4,
                _ => count.1 > 7,
            };
            while !is_reached(world.count().await) {
                tokio::task::yield_now().await;
            }
            node.kill();
            node.resume().await;
            world.until_runtime().await;
            world.ready(pod).await;
        }
        for pod in pods {
            let pod = world.pod(pod).await;
            assert_eq!(world.shell(&pod, "hostname").await, pod["metadata"]["name"]);
        }
        for pod in pods {
            world.begin_delete(pod, 1).await;
        }
        node.kill();
        node.resume().await;
        for pod in pods {
            world.gone(pod).await;
        }
        // What containerd itself had not noted when it was killed is not known to anybody.
        assert_eq!(world.count().await, (0, 0));
        assert_eq!(fs::read_dir("/var/lib/kubelet/pods").unwrap().count(), 0);
        assert_eq!(fs::read_dir("/var/log/pods").unwrap().count(), 0);
        world.shut_down().await;
    });
}

/// A container that ends when it finds a certain file, which it takes away.
fn mortal() -> Value {
    fs::create_dir_all("/run/shared").unwrap();
    let script = "while ! [ -e /shared/die ]; do sleep 0.1; done; rm /shared/die; exit 3";
    let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
    json!({
        "containers": [{ "command": ["sh", "-c", script], "volumeMounts": mounts }],
        "volumes": [{ "name": "shared", "hostPath": { "path": "/run/shared" } }],
        "terminationGracePeriodSeconds": 1,
    })
}

/// A pod that the node gets though it is not ready.
fn tolerant() -> Value {
    json!({ "containers": [{ "image": image::FOREVER }], "tolerations": [{ "operator": "Exists" }] })
}
