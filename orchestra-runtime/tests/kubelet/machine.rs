//! Nodes that are a real machine: one that is a folder with the files of a kernel.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use k8s_openapi::api::{core::v1::Node as NodeObject, scheduling::v1::PriorityClass};
use kube::{Api, api::PostParams};
use orchestra_core::container_runtime::{ContainerRuntime, ImageSpec};
use orchestra_runtime::kubelet::{EvictionThresholds, KubeletBuilder, Machine, MachineError};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::node::{Node, SECOND};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Left over is left over.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Self(std::env::temp_dir().join(format!("orchestra-machine-{}-{number}", std::process::id())));
        for (path, text) in [
            ("proc/cpuinfo", "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            ("proc/sys/kernel/random/boot_id", "6f1c1f7e-0f0e-4a5e-8d3b-2f2f0c5b9a01\n"),
            ("proc/sys/kernel/pid_max", "32768\n"),
            ("proc/sys/kernel/threads-max", "30000\n"),
            ("proc/loadavg", "0.20 0.18 0.12 1/80 11206\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "16\n"),
            ("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0\n"),
            ("sys/class/dmi/id/product_uuid", "ec2e1f7e-0f0e-4a5e-8d3b-2f2f0c5b9a01\n"),
            ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ] {
            folder.write(path, text);
        }
        folder.memory_left(4 << 20);
        folder
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // In one step, as it may be read meanwhile.
        fs::write(path.with_extension("new"), text).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }

    /// Half of what is left is pages of files.
    fn memory_left(&self, kilobytes: u64) {
        let half = kilobytes / 2;
        let text = format!("MemTotal: 8388608 kB\nMemFree: {half} kB\nInactive(file): {half} kB\nSwapTotal: 1024 kB\n");
        self.write("proc/meminfo", &text);
    }

    fn machine(&self) -> Machine {
        Machine::at(&self.0).unwrap()
    }
}

fn thresholds(of: &[(&'static str, &'static str)]) -> EvictionThresholds {
    EvictionThresholds::parse(of.iter().copied()).unwrap()
}

/// Only memory: the machine of the test may have a full disk.
fn of_memory(builder: KubeletBuilder, folder: &Folder) -> KubeletBuilder {
    builder.machine(folder.machine()).eviction_thresholds(thresholds(&[("memory.available", "100Mi")]))
}

async fn status(node: &Node) -> Value {
    let api = Api::<NodeObject>::all(node.server.client());
    let registered = node.server.until("a node", async || api.get_opt("n1").await.unwrap()).await;
    serde_json::to_value(registered.status).unwrap()
}

/// Waits until the condition has a value, and returns its reason.
async fn until_condition(node: &Node, kind: &str, value: &str) -> String {
    let found = async || {
        let status = status(node).await;
        let conditions = status["conditions"].as_array()?;
        let condition =
            conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == value)?;
        Some(condition["reason"].as_str()?.to_owned())
    };
    node.server.until(kind, found).await
}

async fn priority_class(node: &Node, name: &str, value: i32) {
    let class = serde_json::from_value(json!({"metadata": {"name": name}, "value": value})).unwrap();
    Api::<PriorityClass>::all(node.server.client()).create(&PostParams::default(), &class).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_is_described_as_its_machine_is() {
    let folder = Folder::new();
    let mut node = Node::with(&[]).await;
    for image in ["nginx", "redis"] {
        node.runtime.pull_image(&ImageSpec::from(image), None).await.unwrap();
    }
    let builder = node.builder().machine(folder.machine()).address("192.0.2.7".parse().unwrap());
    node.start_as(
        builder.eviction_thresholds(thresholds(&[("memory.available", "100Mi"), ("nodefs.available", "10%")])),
    );
    let status = status(&node).await;
    let capacity = &status["capacity"];
    assert_eq!((&capacity["cpu"], &capacity["memory"], &capacity["pods"]), (&json!("2"), &json!("8Gi"), &json!("110")));
    assert_eq!((&capacity["hugepages-2Mi"], &capacity["hugepages-1Gi"]), (&json!("32Mi"), &json!("0")));
    // A hundred for the machine itself, and 32 that are huge.
    assert_eq!(status["allocatable"]["memory"], "8060Mi");
    let storage = |of: &str| {
        let text = status[of]["ephemeral-storage"].as_str().unwrap().to_owned();
        text.parse::<orchestra_core::quantity::Quantity>().unwrap().value()
    };
    assert!((storage("capacity") / 10 * 9 - storage("allocatable")).abs() < 100, "{status}");
    let info = &status["nodeInfo"];
    for (key, value) in [
        ("kernelVersion", "6.1.0-18-amd64"),
        ("osImage", "Debian GNU/Linux 12 (bookworm)"),
        ("machineID", "0123456789abcdef0123456789abcdef"),
        ("systemUUID", "ec2e1f7e-0f0e-4a5e-8d3b-2f2f0c5b9a01"),
        ("bootID", "6f1c1f7e-0f0e-4a5e-8d3b-2f2f0c5b9a01"),
        ("operatingSystem", "linux"),
    ] {
        assert_eq!(info[key], value, "{key}");
    }
    assert_eq!(info["swap"]["capacity"], 1_048_576);
    let addresses = json!([{"type": "InternalIP", "address": "192.0.2.7"}, {"type": "Hostname", "address": "n1"}]);
    assert_eq!(status["addresses"], addresses);
    assert_eq!(status["images"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_pulled_is_told_of() {
    let folder = Folder::new();
    let mut node = Node::with(&[]).await;
    node.start_as(of_memory(node.builder(), &folder));
    assert!(status(&node).await["images"].as_array().is_none_or(Vec::is_empty));
    node.add_pod("web", "nginx", json!({})).await;
    let named = async || status(&node).await["images"][0]["names"].as_array().cloned();
    let names = node.server.until("images", named).await;
    assert!(names.iter().any(|name| name.as_str().unwrap().contains("nginx")), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_is_the_nodes_whatever_its_machine_has() {
    let folder = Folder::new();
    let mut node = Node::with(&[]).await;
    node.start_as(of_memory(node.builder().capacity([("cpu", "64"), ("example.com/gpu", "2")]), &folder));
    let status = status(&node).await;
    for of in ["capacity", "allocatable"] {
        assert_eq!((&status[of]["cpu"], &status[of]["example.com/gpu"]), (&json!("64"), &json!("2")), "{of}");
    }
    assert_eq!(status["capacity"]["memory"], "8Gi");
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_short_the_pod_that_matters_least_is_evicted() {
    let folder = Folder::new();
    let mut node = Node::with(&[]).await;
    node.start_as(of_memory(node.builder().node_events(true), &folder));
    priority_class(&node, "dear", 1_000).await;
    node.add_pod("dear", "nginx", json!({"priorityClassName": "dear"})).await;
    node.add_pod("cheap", "nginx", json!({})).await;
    for pod in ["dear", "cheap"] {
        node.until("ready", pod, |pod| pod.is_ready()).await;
    }
    folder.memory_left(50 << 10);
    node.until("evicted", "cheap", |pod| pod.phase() == "Failed").await;
    let evicted = node.status("cheap").await;
    let message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ";
    assert_eq!((&evicted["reason"], &evicted["message"]), (&json!("Evicted"), &json!(message)));
    let disrupted = node.pod("cheap").await.unwrap();
    let disrupted = disrupted.condition("DisruptionTarget").unwrap();
    assert_eq!((&disrupted["status"], &disrupted["reason"]), (&json!("True"), &json!("TerminationByKubelet")));
    folder.memory_left(4 << 20);
    assert_eq!(until_condition(&node, "MemoryPressure", "True").await, "KubeletHasInsufficientMemory");
    let events = node.events().await;
    assert!(events.contains(&format!("Warning Evicted : {message}")), "{events:?}");
    assert!(events.contains(&"Warning EvictionThresholdMet : Attempting to reclaim memory".to_owned()), "{events:?}");
    // It is short for some time after there is enough again; then pods that ask for nothing have no place here.
    node.add_pod("late", "nginx", json!({})).await;
    node.until("refused", "late", |pod| pod.phase() == "Failed").await;
    let refused = node.status("late").await;
    let message = "Pod was rejected: The node had condition: [MemoryPressure]. ";
    assert_eq!((&refused["reason"], &refused["message"]), (&json!("Evicted"), &json!(message)));
    assert_eq!(until_condition(&node, "MemoryPressure", "False").await, "KubeletHasSufficientMemory");
    node.add_pod("later", "nginx", json!({})).await;
    node.until("ready", "later", |pod| pod.is_ready()).await;
    assert!(node.pod("dear").await.unwrap().is_ready());
}

#[tokio::test(start_paused = true)]
async fn pods_go_one_at_a_time_as_long_as_too_little_is_left() {
    let folder = Folder::new();
    let mut node = Node::with(&[]).await;
    node.start_as(of_memory(node.builder(), &folder));
    for pod in ["a", "b", "c"] {
        node.add_pod(pod, "nginx", json!({})).await;
        node.until("ready", pod, |pod| pod.is_ready()).await;
    }
    folder.memory_left(50 << 10);
    let mut times = Vec::new();
    for pod in ["a", "b", "c"] {
        times.push(node.until("evicted", pod, |pod| pod.phase() == "Failed").await);
    }
    times.sort();
    assert!(times[1] - times[0] >= SECOND * 9 && times[2] - times[1] >= SECOND * 9, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_disk_is_full_images_go_before_pods() {
    let folder = Folder::new();
    let mut node = Node::with(&[]).await;
    node.runtime.pull_image(&ImageSpec::from("unused"), None).await.unwrap();
    node.runtime.pull_image(&ImageSpec::from("registry.example/pause:3.9"), None).await.unwrap();
    // No file system is free to so great a part.
    let all = thresholds(&[("nodefs.available", "100%")]);
    node.start_as(node.builder().machine(folder.machine()).eviction_thresholds(all));
    assert_eq!(until_condition(&node, "DiskPressure", "True").await, "KubeletHasDiskPressure");
    let gone = async || {
        let images = node.runtime.list_images().await.unwrap();
        let tags: Vec<String> = images.into_iter().flat_map(|image| image.repo_tags).collect();
        (tags.len() == 1).then(|| tags.concat())
    };
    for _ in 0..100 {
        if gone().await.is_some() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!(gone().await.unwrap().contains("pause"));
    node.add_pod(
        "web",
        "nginx",
        json!({"containers": [{"name": "c", "image": "nginx", "resources": {"requests": {"memory": "1Mi"}}}]}),
    )
    .await;
    node.until("refused", "web", |pod| pod.phase() == "Failed").await;
    assert_eq!(node.status("web").await["message"], "Pod was rejected: The node had condition: [DiskPressure]. ");
}

#[test]
fn what_a_machine_does_not_tell_is_an_error() {
    let folder = Folder::new();
    fs::remove_file(folder.0.join("proc/meminfo")).unwrap();
    let error = Machine::at(&folder.0).unwrap_err();
    assert!(matches!(error, MachineError::Read { .. }) && error.to_string().contains("proc/meminfo"), "{error}");
    folder.write("proc/meminfo", "MemTotal: much kB\n");
    let error = Machine::at(&folder.0).unwrap_err();
    assert!(matches!(error, MachineError::Malformed { .. }), "{error}");
}

#[test]
fn this_machine_can_be_described() {
    let machine = Machine::local().unwrap();
    assert!(machine.cpus() > 0 && machine.memory() > 0 && !machine.os_image().is_empty());
}
