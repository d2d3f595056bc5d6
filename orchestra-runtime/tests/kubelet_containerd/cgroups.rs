//! Pods and classes of them have cgroups of their own.

use std::{fs, path::Path, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    containerd::{Containerd, on_a_node},
    process::Settings,
    world::World,
};

pub(crate) const ROOT: &str = "/sys/fs/cgroup";
/// How many processes a pod may have.
pub(crate) const PIDS: Option<u64> = Some(77);
pub(crate) const MIB: u64 = 1 << 20;

fn settings() -> Settings {
    Settings { pod_pids: PIDS, ..Settings::default() }
}

async fn started(node: &Containerd) -> World {
    let mut world = World::without_kubelet(node).await;
    world.start_kubelet(settings());
    world.until_node("True").await;
    world
}

/// Whether there is the one hierarchy of v2.
fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// What a cgroup is granted: weight, quota in 100 ms, bytes of memory, processes.
pub(crate) fn granted(place: &str) -> [String; 4] {
    let files = match is_unified() {
        true => ["cpu.weight", "cpu.max", "memory.max", "pids.max"].map(|file| format!("{place}/{file}")),
        false => ["cpu/P/cpu.shares", "cpu/P/cpu.cfs_quota_us", "memory/P/memory.limit_in_bytes", "pids/P/pids.max"]
            .map(|file| file.replace("/P/", &format!("/{place}/"))),
    };
    files.map(|file| {
        let path = Path::new(ROOT).join(file);
        let value = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let value = value.split_whitespace().next().unwrap_or_default().to_owned();
        // As v1 tells that there is no limit.
        if ["-1", "9223372036854771712"].contains(&&*value) { "max".to_owned() } else { value }
    })
}

pub(crate) fn expected(shares: u64, quota: Option<u64>, memory: Option<u64>, pids: Option<u64>) -> [String; 4] {
    let number = |amount: Option<u64>| amount.map_or("max".to_owned(), |amount| amount.to_string());
    let weight = if is_unified() { 1 + (shares - 2) * 9999 / 262_142 } else { shares };
    [weight.to_string(), number(quota), number(memory), number(pids)]
}

/// Whether there is such a cgroup in any hierarchy.
pub(crate) fn is_there(place: &str) -> bool {
    let hierarchies = fs::read_dir(ROOT).unwrap().flatten().map(|entry| entry.path());
    hierarchies.chain([ROOT.into()]).any(|hierarchy| hierarchy.join(place).is_dir())
}

pub(crate) async fn until_gone(place: &str) {
    while is_there(place) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a cgroup is granted this.
pub(crate) async fn until_granted(place: &str, expected: [String; 4]) {
    let mut tries = 0;
    while granted(place) != expected {
        tries += 1;
        if tries % 500 == 0 {
            println!("{place} has {:?} and not {expected:?}", granted(place));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The cgroup of a pod of this class.
fn place(class: &str, pod: &Value) -> String {
    format!("kubepods/{class}pod{}", pod["metadata"]["uid"].as_str().unwrap())
}

pub(crate) fn spec(resources: Value) -> Value {
    let container = json!({ "command": ["sleep", "1000"], "resources": resources });
    json!({ "containers": [container], "terminationGracePeriodSeconds": 0 })
}

pub(crate) fn amounts(cpu: &str, memory: &str) -> Value {
    json!({ "cpu": cpu, "memory": memory })
}

#[test]
fn the_kernel_grants_pods_and_classes_what_they_are_promised() {
    on_a_node(async |node| {
        let world = started(&node).await;
        // What the node has: 4 processors and 8Gi.
        until_granted("kubepods", expected(4096, None, Some(8 << 30), None)).await;
        until_granted("kubepods/burstable", expected(2, None, None, None)).await;
        assert_eq!(granted("kubepods/besteffort"), expected(2, None, None, None));
        let both = amounts("100m", "64Mi");
        world.add("guaranteed", spec(json!({ "requests": both, "limits": both }))).await;
        world.add("burstable", spec(json!({ "requests": { "cpu": "500m" }, "limits": { "memory": "96Mi" } }))).await;
        world.add("other", spec(json!({ "requests": { "cpu": "1" }, "limits": { "cpu": "1500m" } }))).await;
        world.add("best-effort", spec(json!({}))).await;
        let guaranteed = place("", &world.ready("guaranteed").await);
        assert_eq!(granted(&guaranteed), expected(102, Some(10_000), Some(64 * MIB), PIDS));
        let burstable = place("burstable/", &world.ready("burstable").await);
        assert_eq!(granted(&burstable), expected(512, None, Some(96 * MIB), PIDS));
        let other = place("burstable/", &world.ready("other").await);
        assert_eq!(granted(&other), expected(1024, Some(150_000), None, PIDS));
        let best_effort = place("besteffort/", &world.ready("best-effort").await);
        assert_eq!(granted(&best_effort), expected(2, None, None, PIDS));
        until_granted("kubepods/burstable", expected(1536, None, None, None)).await;
        for name in ["guaranteed", "burstable", "other", "best-effort"] {
            world.delete(name).await;
        }
        for place in [guaranteed, burstable, other, best_effort] {
            assert!(!is_there(&place), "{place}");
        }
        until_granted("kubepods/burstable", expected(2, None, None, None)).await;
        world.event("NodeAllocatableEnforced: Updated Node Allocatable limit across pods").await;
        world.shut_down().await;
    });
}

#[test]
fn a_pod_that_has_ended_has_no_cgroup() {
    on_a_node(async |node| {
        let world = started(&node).await;
        let containers = json!([{ "command": ["true"] }]);
        world.add("p", json!({ "containers": containers, "restartPolicy": "Never" })).await;
        let pod = world.until("over", "p", |pod| pod["status"]["phase"] == "Succeeded").await;
        until_gone(&place("besteffort/", &pod)).await;
        world.delete("p").await;
        world.shut_down().await;
    });
}

#[test]
fn a_container_that_is_killed_for_what_its_pod_may_use_says_so() {
    on_a_node(async |node| {
        let world = started(&node).await;
        // Each has less than it may have by itself; together they have more than the pod may.
        let hungry = json!({ "command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=48M"] });
        let limits = json!({ "limits": { "cpu": "500m", "memory": "64Mi" }, "requests": { "cpu": "10m" } });
        let spec = json!({ "containers": [hungry, hungry], "resources": limits, "restartPolicy": "Never" });
        world.add("p", spec).await;
        let states = |pod: &Value| {
            let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
            statuses.into_iter().map(|status| status["state"]["terminated"].clone()).filter(|ended| !ended.is_null())
        };
        let pod = world.until("short of memory", "p", |pod| states(pod).count() > 0).await;
        let killed = states(&pod).next().unwrap();
        assert_eq!((&killed["reason"], &killed["exitCode"]), (&"OOMKilled".into(), &137.into()), "{killed}");
        let pod = place("burstable/", &pod);
        assert_eq!(granted(&pod), expected(10, Some(50_000), Some(64 * MIB), PIDS));
        world.delete("p").await;
        until_gone(&pod).await;
        world.shut_down().await;
    });
}

/// The first of its processes asks for more memory than there is, the second does not mind.
pub(crate) fn hungry() -> Value {
    let script = "dd if=/dev/zero of=/dev/null bs=48M; echo goes on; sleep 1000";
    let container = json!({ "command": ["sh", "-c", script], "resources": { "limits": { "memory": "32Mi" } } });
    json!({ "containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0 })
}

#[test]
fn a_container_that_lacks_memory_dies_as_a_whole_where_the_kernel_knows_how() {
    on_a_node(async |node| {
        let mut world = started(&node).await;
        world.add("whole", hungry()).await;
        if is_unified() {
            let pod = world.until("killed", "whole", |pod| pod["status"]["phase"] == "Failed").await;
            let killed = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
            assert_eq!((&killed["reason"], &killed["exitCode"]), (&"OOMKilled".into(), &137.into()), "{killed}");
            assert_eq!(world.log("whole").await, "");
        } else {
            until_logged(&world, "whole").await;
        }
        world.kill_kubelet();
        world.start_kubelet(Settings { single_process_oom_kill: true, ..settings() });
        world.add("single", hungry()).await;
        until_logged(&world, "single").await;
        for name in ["whole", "single"] {
            world.delete(name).await;
        }
        world.shut_down().await;
    });
}

async fn until_logged(world: &World, pod: &str) {
    world.ready(pod).await;
    // Its shell may say more.
    while !world.log(pod).await.contains("goes on\n") {
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_container_has_its_weight_and_no_swap() {
    on_a_node(async |node| {
        let world = started(&node).await;
        world.add("p", spec(json!({ "requests": { "cpu": "500m" }, "limits": { "memory": "64Mi" } }))).await;
        let pod = world.ready("p").await;
        let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
        let container = format!("{}/{}", place("burstable/", &pod), id.trim_start_matches("containerd://"));
        assert_eq!(granted(&container), expected(512, None, Some(64 * MIB), None));
        if is_unified() {
            let says = |file: &str| fs::read_to_string(Path::new(ROOT).join(&container).join(file)).unwrap();
            assert_eq!(says("memory.oom.group"), "1\n");
            assert_eq!(says("memory.swap.max"), "0\n");
            assert_eq!((says("memory.min"), says("memory.high")), ("0\n".to_owned(), "max\n".to_owned()));
        }
        world.delete("p").await;
        world.shut_down().await;
    });
}

#[test]
fn a_pod_is_granted_what_its_containers_are_resized_to() {
    on_a_node(async |node| {
        let world = started(&node).await;
        let of = |cpu, memory| json!({ "requests": amounts(cpu, memory), "limits": amounts(cpu, memory) });
        world.add("p", spec(of("100m", "64Mi"))).await;
        let pod = place("", &world.ready("p").await);
        for (cpu, memory, shares, quota, bytes) in
            [("250m", "128Mi", 256, 25_000, 128 * MIB), ("50m", "32Mi", 51, 5000, 32 * MIB)]
        {
            let patch = json!({ "spec": { "containers": [{ "name": "c0", "resources": of(cpu, memory) }] } });
            let (pods, params) = (world.api::<Pod>(), PatchParams::default());
            pods.patch_subresource("resize", "p", &params, &Patch::Strategic(patch)).await.unwrap();
            until_granted(&pod, expected(shares, Some(quota), Some(bytes), PIDS)).await;
        }
        let patch = json!({ "spec": { "containers": [{ "name": "c0", "resources": of("50m", "4096") }] } });
        let (pods, params) = (world.api::<Pod>(), PatchParams::default());
        pods.patch_subresource("resize", "p", &params, &Patch::Strategic(patch)).await.unwrap();
        let event = world.event("ResizeError: Pod resize error: ").await;
        let why = "cannot decrease memory limits: [attempting to set pod memory limit (4096) below current usage (";
        assert!(event.contains(why), "{event}");
        assert!(
            event.contains(r#"attempting to set container \"c0\" memory limit (4096) below current usage ("#),
            "{event}"
        );
        assert_eq!(granted(&pod)[2], (32 * MIB).to_string());
        world.delete("p").await;
        world.shut_down().await;
    });
}

#[test]
fn a_kubelet_that_starts_finds_cgroups_and_mends_them() {
    on_a_node(async |node| {
        let mut world = started(&node).await;
        let with = json!({ "limits": { "memory": "64Mi" } });
        world.add("stays", spec(with.clone())).await;
        world.add("goes", spec(with)).await;
        let (stays, goes) = (world.ready("stays").await, world.ready("goes").await);
        let (at, gone) = (place("burstable/", &stays), place("burstable/", &goes));
        world.kill_kubelet();
        world.begin_delete("goes", 0).await;
        // Somebody else's work, and what a kubelet left that was killed at the wrong moment.
        let pids = if is_unified() { format!("{at}/pids.max") } else { format!("pids/{at}/pids.max") };
        fs::write(Path::new(ROOT).join(pids), "5").unwrap();
        let orphan = "kubepods/besteffort/podorphan";
        fs::create_dir(Path::new(ROOT).join(if is_unified() { "" } else { "memory" }).join(orphan)).unwrap();
        world.start_kubelet(settings());
        until_granted(&at, expected(2, None, Some(64 * MIB), PIDS)).await;
        until_gone(orphan).await;
        until_gone(&gone).await;
        let after = world.ready("stays").await;
        let first = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
        assert_eq!(first(&after), first(&stays));
        world.delete("stays").await;
        world.shut_down().await;
    });
}
