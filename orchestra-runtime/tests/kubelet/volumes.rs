//! Volumes on a node with a folder: what needs no mounts, and so no root.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PostParams},
};
use orchestra_core::container_runtime::Mount;
use orchestra_runtime::kubelet::KubeletBuilder;
use serde_json::{Value, json};

use crate::node::{Node, Seen};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("orchestra-kubelet-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("resolv.conf"), "nameserver 192.0.2.1\nsearch example\n").unwrap();
        Self(path)
    }

    fn builder(&self, node: &Node) -> KubeletBuilder {
        let builder = node.builder().root_directory(self.0.join("kubelet")).pod_logs_directory(self.0.join("logs"));
        builder.resolv_conf(self.0.join("resolv.conf"))
    }

    fn of_pod(&self, uid: &str) -> PathBuf {
        self.0.join("kubelet/pods").join(uid)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn started() -> (Node, Folder) {
    let (mut node, folder) = (Node::with(&[]).await, Folder::new());
    node.start_as(folder.builder(&node));
    (node, folder)
}

/// A pod of these volumes, each mounted at `/NAME`.
fn with_volumes(volumes: Value) -> Value {
    let all = volumes.as_array().unwrap();
    let mounts: Vec<Value> = all
        .iter()
        .map(|volume| json!({ "name": volume["name"], "mountPath": format!("/{}", volume["name"].as_str().unwrap()) }))
        .collect();
    let container = json!({ "name": "c", "image": "nginx", "volumeMounts": mounts });
    json!({ "automountServiceAccountToken": false, "containers": [container], "volumes": volumes })
}

fn maps(node: &Node) -> Api<ConfigMap> {
    Api::default_namespaced(node.server.client())
}

async fn create_map(node: &Node, name: &str, data: Value) {
    let map = json!({ "metadata": { "name": name }, "data": data });
    maps(node).create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
}

fn mount(node: &Node, pod: &str, path: &str) -> Mount {
    let config = node.runtime.container_config(pod, "c").unwrap();
    config.mounts.into_iter().find(|mount| mount.container_path == path).unwrap()
}

fn read(mount: &Mount, path: &str) -> Option<String> {
    fs::read_to_string(Path::new(&mount.host_path).join(path)).ok()
}

#[tokio::test(start_paused = true)]
async fn a_pod_finds_its_files_and_leaves_none() {
    let (node, folder) = started().await;
    create_map(&node, "config", json!({ "color": "red", "shape": "round" })).await;
    let items = json!([{ "key": "color", "path": "some/color", "mode": 0o600 }]);
    let mut spec = with_volumes(json!([
        { "name": "config", "configMap": { "name": "config", "items": items } },
        { "name": "scratch", "emptyDir": {} },
        { "name": "none", "configMap": { "name": "none", "optional": true } },
    ]));
    spec["hostAliases"] = json!([{ "ip": "1.2.3.4", "hostnames": ["db"] }]);
    node.add_pod("a", "nginx", spec).await;
    node.until("running", "a", Seen::is_ready).await;
    let (config, scratch) = (mount(&node, "a", "/config"), mount(&node, "a", "/scratch"));
    assert_eq!(read(&config, "some/color").as_deref(), Some("red"));
    assert_eq!(read(&config, "shape"), None);
    assert!(config.readonly && !scratch.readonly);
    assert_eq!(fs::metadata(&scratch.host_path).unwrap().permissions().mode() & 0o777, 0o777);
    let hosts = fs::read_to_string(mount(&node, "a", "/etc/hosts").host_path).unwrap();
    let ip = node.status("a").await["podIP"].as_str().unwrap().to_owned();
    assert!(hosts.contains(&format!("\n{ip}\ta\n")) && hosts.ends_with("\n1.2.3.4\tdb\n"), "{hosts}");
    let message = mount(&node, "a", "/dev/termination-log").host_path;
    assert_eq!(fs::metadata(message).unwrap().permissions().mode() & 0o777, 0o666);
    let sandbox = node.runtime.sandbox_config("a").unwrap();
    assert_eq!(sandbox.dns.servers, ["192.0.2.1"]);
    let logs = Path::new(&sandbox.log_directory).join("c");
    let (uid, config) = (node.uid("a").await, node.runtime.container_config("a", "c").unwrap());
    assert!(logs.is_dir() && folder.of_pod(&uid).is_dir());
    assert_eq!(
        (config.log_path.as_str(), &config.annotations["io.kubernetes.container.restartCount"]),
        ("c/0.log", &"0".to_owned())
    );
    node.delete_pod("a", 30).await;
    node.until_gone("a").await;
    assert!(!logs.exists() && !folder.of_pod(&uid).exists());
}

#[tokio::test(start_paused = true)]
async fn a_mounted_config_map_changes_in_place() {
    let (node, _folder) = started().await;
    create_map(&node, "config", json!({ "color": "red" })).await;
    node.add_pod("a", "nginx", with_volumes(json!([{ "name": "v", "configMap": { "name": "config" } }]))).await;
    node.until("running", "a", Seen::is_ready).await;
    let volume = mount(&node, "a", "/v");
    let patch = json!({ "data": { "color": "blue", "size": "big" } });
    maps(&node).patch("config", &Default::default(), &Patch::Merge(patch)).await.unwrap();
    while read(&volume, "color").as_deref() != Some("blue") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(read(&volume, "size").as_deref(), Some("big"));
    assert_eq!(node.pod("a").await.unwrap().restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_its_volumes() {
    let (node, folder) = started().await;
    fs::write(folder.0.join("file"), "").unwrap();
    let file = folder.0.join("file").display().to_string();
    node.add_pod(
        "a",
        "nginx",
        with_volumes(json!([
            { "name": "v", "configMap": { "name": "late" } },
            { "name": "h", "hostPath": { "path": file, "type": "Directory" } },
            { "name": "n", "nfs": { "server": "s", "path": "/" } },
        ])),
    )
    .await;
    let has = async |message: &str| {
        let line = format!("Warning FailedMount : {message}");
        node.server
            .until(message, async || {
                node.events().await.iter().any(|event| event.split(" x").next() == Some(&line)).then_some(())
            })
            .await;
    };
    has("MountVolume.SetUp failed for volume \"v\" : configmap \"late\" not found").await;
    has(&format!("MountVolume.SetUp failed for volume \"h\" : hostPath type check failed: {file} is not a directory"))
        .await;
    has("MountVolume.SetUp failed for volume \"n\" : volumes of type nfs are not supported by this kubelet").await;
    assert_eq!(node.pod("a").await.unwrap().waiting(), "ContainerCreating");
    assert_eq!(node.runtime.counts(), (0, 0));
    node.delete_pod("a", 0).await;
    node.until_gone("a").await;
    node.add_pod("b", "nginx", with_volumes(json!([{ "name": "v", "configMap": { "name": "late" } }]))).await;
    node.until("waiting", "b", |pod| pod.waiting() == "ContainerCreating").await;
    create_map(&node, "late", json!({ "a": "1" })).await;
    node.until("running", "b", Seen::is_ready).await;
    assert_eq!(read(&mount(&node, "b", "/v"), "a").as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_grows_too_large_costs_the_pod_its_place() {
    let (node, _folder) = started().await;
    node.add_pod("a", "nginx", with_volumes(json!([{ "name": "v", "emptyDir": { "sizeLimit": "64Ki" } }]))).await;
    node.until("running", "a", Seen::is_ready).await;
    fs::write(Path::new(&mount(&node, "a", "/v").host_path).join("f"), vec![1; 200_000]).unwrap();
    node.until("evicted", "a", |pod| pod.phase() == "Failed").await;
    let status = node.status("a").await;
    let message = "Usage of EmptyDir volume \"v\" exceeds the limit \"64Ki\". ";
    assert_eq!((status["reason"].as_str(), status["message"].as_str()), (Some("Evicted"), Some(message)));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_kubelet_keeps_what_pods_use_and_removes_the_rest() {
    let (mut node, folder) = started().await;
    create_map(&node, "config", json!({ "color": "red" })).await;
    let volumes = json!([{ "name": "v", "configMap": { "name": "config" } }, { "name": "s", "emptyDir": {} }]);
    node.add_pod("a", "nginx", with_volumes(volumes)).await;
    node.until("running", "a", Seen::is_ready).await;
    let (volume, scratch) = (mount(&node, "a", "/v"), mount(&node, "a", "/s"));
    fs::write(Path::new(&scratch.host_path).join("mine"), "x").unwrap();
    node.stop().await;
    let orphan = folder.of_pod("00000000-0000-0000-0000-000000000000");
    fs::create_dir_all(orphan.join("volumes/kubernetes.io~empty-dir/v")).unwrap();
    let logs = folder.0.join("logs/default_gone_00000000-0000-0000-0000-000000000000");
    fs::create_dir_all(&logs).unwrap();
    let patch = json!({ "data": { "color": "blue" } });
    maps(&node).patch("config", &Default::default(), &Patch::Merge(patch)).await.unwrap();
    node.start_as(folder.builder(&node));
    while orphan.exists() || logs.exists() || read(&volume, "color").as_deref() != Some("blue") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(read(&scratch, "mine").as_deref(), Some("x"));
    assert_eq!(node.pod("a").await.unwrap().restarts(), 0);
}
