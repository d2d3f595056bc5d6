//! systemd makes the cgroups: those of classes and pods for the kubelet, those of containers for containerd. It is the machine's own: where it has
//! cgroup v2 alone, `.ci/node-vm` has the machine.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    cgroups::{MIB, PIDS, ROOT, amounts, expected, granted, hungry, spec, until_gone, until_granted},
    containerd::{Containerd, beside_systemd},
    process::Settings,
    world::World,
};

const PODS: &str = "kubepods.slice";
const BURSTABLE: &str = "kubepods.slice/kubepods-burstable.slice";

fn settings() -> Settings {
    Settings { pod_pids: PIDS, by_systemd: true, ..Settings::default() }
}

async fn started(node: &Containerd) -> World {
    let mut world = World::without_kubelet(node).await;
    world.start_kubelet(settings());
    world.until_node("True").await;
    world
}

/// The slice of a pod in this one.
fn place(outer: &str, pod: &Value) -> String {
    let name = Path::new(outer).file_stem().unwrap().to_str().unwrap();
    format!("{outer}/{name}-pod{}.slice", pod["metadata"]["uid"].as_str().unwrap().replace('-', "_"))
}

/// The scope of a pod's first container.
fn container(place: &str, pod: &Value) -> String {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    format!("{place}/cri-containerd-{}.scope", id.trim_start_matches("containerd://"))
}

/// What systemd knows of a slice.
fn property(place: &str, name: &str) -> String {
    let unit = Path::new(place).file_name().unwrap();
    let output = Command::new("systemctl").args(["show", "--value", "--property", name]).arg(unit).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "it needs a machine with systemd and cgroup v2"]
fn slices_are_granted_what_pods_and_classes_are_promised() {
    beside_systemd(async |node| {
        let world = started(&node).await;
        until_granted(PODS, expected(4096, None, Some(8 << 30), None)).await;
        let both = amounts("100m", "64Mi");
        world.add("guaranteed", spec(json!({ "requests": both, "limits": both }))).await;
        world.add("burstable", spec(json!({ "requests": { "cpu": "500m" }, "limits": { "memory": "96Mi" } }))).await;
        let pods = [("guaranteed", PODS), ("burstable", BURSTABLE)];
        let granted_to = [expected(102, Some(10_000), Some(64 * MIB), PIDS), expected(512, None, Some(96 * MIB), PIDS)];
        let mut places = Vec::new();
        for ((name, outer), expected) in pods.into_iter().zip(granted_to) {
            let pod = world.ready(name).await;
            let place = place(outer, &pod);
            assert_eq!(granted(&place), expected, "{name}");
            let container = container(&place, &pod);
            assert_eq!(granted(&container)[..3], expected[..3], "{name}");
            let says = |file: &str| fs::read_to_string(Path::new(ROOT).join(&container).join(file)).unwrap();
            assert_eq!((says("memory.oom.group"), says("memory.swap.max")), ("1\n".to_owned(), "0\n".to_owned()));
            places.push(place);
        }
        until_granted(BURSTABLE, expected(512, None, None, None)).await;
        // systemd knows, and writes it again whenever it looks after its slices.
        assert_eq!(property(&places[0], "MemoryMax"), (64 * MIB).to_string());
        assert_eq!(property(&places[0], "CPUQuotaPerSecUSec"), "100ms");
        assert_eq!(property(&places[1], "TasksMax"), PIDS.unwrap().to_string());
        assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
        assert_eq!(granted(&places[0]), expected(102, Some(10_000), Some(64 * MIB), PIDS));
        for (name, _) in pods {
            world.delete(name).await;
        }
        for place in places {
            until_gone(&place).await;
            assert_eq!(property(&place, "ActiveState"), "inactive");
        }
        world.shut_down().await;
    });
}

#[test]
#[ignore = "it needs a machine with systemd and cgroup v2"]
fn a_kubelet_that_starts_finds_slices_and_stops_those_of_nobody() {
    beside_systemd(async |node| {
        let mut world = started(&node).await;
        world.add("stays", spec(json!({ "limits": { "memory": "64Mi" } }))).await;
        world.add("goes", spec(json!({}))).await;
        let stays = world.ready("stays").await;
        let gone = place("kubepods.slice/kubepods-besteffort.slice", &world.ready("goes").await);
        world.kill_kubelet();
        world.begin_delete("goes", 0).await;
        world.start_kubelet(settings());
        until_gone(&gone).await;
        let after = world.ready("stays").await;
        let first = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
        assert_eq!(first(&after), first(&stays));
        assert_eq!(granted(&place(BURSTABLE, &after)), expected(2, None, Some(64 * MIB), PIDS));
        world.delete("stays").await;
        world.shut_down().await;
    });
}

#[test]
#[ignore = "it needs a machine with systemd and cgroup v2"]
fn a_container_that_lacks_memory_dies_as_a_whole_and_its_slice_goes() {
    beside_systemd(async |node| {
        let world = started(&node).await;
        world.add("p", hungry()).await;
        let pod = world.until("killed", "p", |pod| pod["status"]["phase"] == "Failed").await;
        let killed = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!((&killed["reason"], &killed["exitCode"]), (&"OOMKilled".into(), &137.into()), "{killed}");
        until_gone(&place(BURSTABLE, &pod)).await;
        world.delete("p").await;
        world.shut_down().await;
    });
}
