//! Kubelets that are killed in the middle of what they do: the next one goes on from there.

use std::fs;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    containerd::{
        image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
        registry::{Behavior, Registry},
    },
    process::Settings,
    stall::Stall,
    world::World,
};

const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

fn before(call: &str) -> Stall {
    Stall::Before(call.to_owned())
}

fn after(call: &str) -> Stall {
    Stall::After(call.to_owned())
}

/// Two containers with a mount and something that they are told.
fn spec(image: &str) -> Value {
    let mounts = json!([{ "name": "memory", "mountPath": "/memory" }, { "name": "config", "mountPath": "/config" }]);
    let container = json!({ "image": image, "volumeMounts": mounts });
    let volumes = json!([
        { "name": "memory", "emptyDir": { "medium": "Memory" } }, { "name": "config", "configMap": { "name": "config" } },
    ]);
    json!({ "containers": [container, { "image": image }], "volumes": volumes, "terminationGracePeriodSeconds": 2 })
}

async fn make_config(world: &World) {
    world.create::<ConfigMap>(json!({ "metadata": { "name": "config" }, "data": { "color": "red" } })).await;
}

/// Starts a kubelet that comes as far as `stall`, and kills it there.
async fn kill_at(world: &mut World, stall: Stall) {
    world.start_kubelet(Settings { stall: Some(stall), ..Settings::default() });
    world.kubelet.as_mut().unwrap().stalled().await;
    world.kill_kubelet();
}

/// A pod that came up as if nothing had been.
fn assert_sound(pod: &Value, stall: &Stall) {
    for container in pod["status"]["containerStatuses"].as_array().unwrap() {
        assert_eq!((&container["restartCount"], &container["lastState"]), (&json!(0), &json!({})), "{stall:?}");
    }
}

#[test]
fn pods_come_up_and_end_wherever_their_kubelet_was_killed() {
    let starting = [
        before("run_pod_sandbox"),
        after("run_pod_sandbox"),
        before("create_container"),
        after("create_container"),
        after("start_container"),
        after("list_pod_sandboxes"),
        after("container_status"),
    ];
    let ending = [
        before("stop_container"),
        after("stop_container"),
        before("stop_pod_sandbox"),
        after("stop_pod_sandbox"),
        before("remove_pod_sandbox"),
        after("remove_pod_sandbox"),
        // Here nothing is asked of it any more.
        after("list_containers"),
    ];
    on_a_node(async |node| {
        let nothing = what_there_is();
        let mut world = World::without_kubelet(&node).await;
        // The node is to be known.
        world.start_kubelet(Settings::default());
        world.until_node("True").await;
        world.kill_kubelet();
        make_config(&world).await;
        for (number, (start, end)) in starting.into_iter().zip(ending).enumerate() {
            println!("{start:?}, {end:?}");
            let name = format!("p{number}");
            world.add(&name, spec(image::FOREVER)).await;
            kill_at(&mut world, start.clone()).await;
            world.start_kubelet(Settings::default());
            assert_sound(&world.ready(&name).await, &start);
            assert_eq!(world.count().await, (1, 2), "{start:?}");
            world.kill_kubelet();
            world.begin_delete(&name, 2).await;
            kill_at(&mut world, end).await;
            world.start_kubelet(Settings::default());
            world.gone(&name).await;
            assert_eq!(world.count().await, (0, 0));
            world.kill_kubelet();
            until_there_is(nothing.clone()).await;
        }
        world.start_kubelet(Settings::default());
        world.shut_down().await;
    });
}

#[test]
fn a_kubelet_that_was_killed_while_it_waited_is_followed_by_one_that_goes_on() {
    on_a_node(async |node| {
        let registry = Registry::start(&node).await;
        let nothing = what_there_is();
        let mut world = World::start(&node).await;
        // For a volume, before there is a sandbox.
        world.add("early", spec(image::FOREVER)).await;
        world.event("FailedMount: MountVolume.SetUp failed for volume \"config\" ").await;
        assert_eq!(world.count().await, (0, 0));
        world.kill_kubelet();
        make_config(&world).await;
        world.start_kubelet(Settings::default());
        world.ready("early").await;

        // For an image.
        registry.set(Behavior::Slow(std::time::Duration::from_secs(2)));
        world.add("slow", json!({ "containers": [{ "image": image::REMOTE }] })).await;
        world.event("Pulling: Pulling image \"registry.test/remote:latest\"").await;
        while registry.requests().is_empty() {
            sleep(PAUSE).await;
        }
        world.kill_kubelet();
        registry.set(Behavior::Serves);
        world.start_kubelet(Settings::default());
        world.ready("slow").await;
        assert_eq!(world.count().await, (2, 3));

        while_containers_end(&mut world).await;
        in_a_hook(&mut world).await;
        in_its_grace(&mut world).await;
        without_its_object(&mut world).await;
        world.delete("slow").await;
        world.delete("early").await;
        assert_eq!(world.count().await, (0, 0));
        until_there_is(nothing).await;
        world.shut_down().await;
    });
}

/// Containers that end when they find a certain file do so while there is no kubelet.
async fn while_containers_end(world: &mut World) {
    fs::create_dir_all("/run/shared").unwrap();
    let container = |name: &str, code: u8| {
        let script =
            format!("echo said > /dev/termination-log; while ! [ -e /shared/end ]; do sleep 0.1; done; exit {code}");
        let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
        json!({ "name": name, "command": ["sh", "-c", script], "volumeMounts": mounts })
    };
    let volumes = json!([{ "name": "shared", "hostPath": { "path": "/run/shared" } }]);
    let once = json!({ "containers": [container("c", 3)], "volumes": volumes, "restartPolicy": "Never" });
    let init = json!({
        "initContainers": [container("init", 0)], "containers": [{ "image": image::FOREVER }], "volumes": volumes,
    });
    let again = json!({ "containers": [container("c", 5)], "volumes": volumes, "terminationGracePeriodSeconds": 1 });
    let pods = ["once", "again", "init"];
    for (pod, spec) in pods.into_iter().zip([once, again, init]) {
        world.add(pod, spec).await;
    }
    world.ready("once").await;
    world.ready("again").await;
    let state = |pod: &Value| pod["status"]["initContainerStatuses"][0].clone();
    let init = world.until("initializing", "init", |pod| state(pod)["state"]["running"].is_object()).await;
    let count = world.count().await;
    world.kill_kubelet();
    fs::write("/run/shared/end", "").unwrap();
    while world.running_containers().await != count.1 - pods.len() {
        sleep(PAUSE).await;
    }
    fs::remove_file("/run/shared/end").unwrap();
    world.start_kubelet(Settings::default());

    let once = world.until("ended", "once", |pod| pod["status"]["phase"] == "Failed").await;
    let end = &once["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&end["exitCode"], &end["reason"], &end["message"]), (&json!(3), &json!("Error"), &json!("said\n")));
    let is_second = |container: &Value| container["restartCount"] == 1 && container["ready"] == true;
    let again = world.until_first("restarted", "again", is_second).await;
    assert_eq!(again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 5);
    // What has run is not run again.
    let done = world.ready("init").await;
    assert_eq!(state(&done)["containerID"], state(&init)["containerID"]);
    assert_eq!((&state(&done)["restartCount"], &state(&done)["ready"]), (&json!(0), &json!(true)));
    for pod in pods {
        world.begin_delete(pod, 1).await;
    }
    for pod in pods {
        world.gone(pod).await;
    }
}

async fn in_a_hook(world: &mut World) {
    fs::create_dir_all("/run/shared").unwrap();
    let script = "echo begins >> /shared/said; sleep 1; echo ends >> /shared/said";
    let hook = json!({ "preStop": { "exec": { "command": ["sh", "-c", script] } } });
    let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let container = json!({ "image": image::FOREVER, "lifecycle": hook, "volumeMounts": mounts });
    let volumes = json!([{ "name": "shared", "hostPath": { "path": "/run/shared" } }]);
    world.add("hook", json!({ "containers": [container], "volumes": volumes })).await;
    world.ready("hook").await;
    world.begin_delete("hook", 20).await;
    while fs::read_to_string("/run/shared/said").unwrap_or_default() != "begins\n" {
        sleep(PAUSE).await;
    }
    world.kill_kubelet();
    world.start_kubelet(Settings::default());
    world.gone("hook").await;
    // It runs again, to its end.
    let said = fs::read_to_string("/run/shared/said").unwrap();
    assert!(said.matches("begins").count() == 2 && said.ends_with("ends\n"), "{said}");
}

async fn in_its_grace(world: &mut World) {
    let script = "trap 'touch /asked' TERM; while :; do sleep 2147483647 & wait; done";
    world.add("stubborn", json!({ "containers": [{ "command": ["sh", "-c", script] }] })).await;
    let pod = world.ready("stubborn").await;
    world.begin_delete("stubborn", 3).await;
    while world.shell(&pod, "ls /asked").await != "/asked" {
        sleep(PAUSE).await;
    }
    world.kill_kubelet();
    world.start_kubelet(Settings::default());
    world.gone("stubborn").await;
}

/// Somebody deletes the pod's object while there is no kubelet, and does not wait for one.
async fn without_its_object(world: &mut World) {
    world.add("orphan", spec(image::FOREVER)).await;
    world.ready("orphan").await;
    let count = world.count().await;
    world.kill_kubelet();
    world.api::<Pod>().delete("orphan", &DeleteParams::default().grace_period(0)).await.unwrap();
    world.gone("orphan").await;
    assert_eq!(world.count().await, count);
    world.start_kubelet(Settings::default());
    while world.count().await != (count.0 - 1, count.1 - 2) {
        sleep(PAUSE).await;
    }
}
