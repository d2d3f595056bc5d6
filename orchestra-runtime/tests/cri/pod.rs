//! Pods as the kubelet runs them, from nothing to nothing.

use std::{fs, path::Path, time::Duration};

use futures::StreamExt;
use orchestra_core::container_runtime::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerMetadata, ContainerRuntime, ContainerState, LogOptions,
    SandboxConfig, SandboxId, SandboxMetadata,
};
use orchestra_runtime::container::CriRuntime;
use tokio::time::sleep;

use crate::containerd::{image, on_a_node};

pub(crate) const LOGS: &str = "/var/log/pods/p";

pub(crate) async fn sandbox(runtime: &CriRuntime) -> SandboxId {
    let metadata =
        SandboxMetadata { name: "p".to_owned(), namespace: "default".to_owned(), uid: "u".to_owned(), attempt: 0 };
    let config = SandboxConfig {
        metadata,
        hostname: "p".to_owned(),
        log_directory: LOGS.to_owned(),
        ..SandboxConfig::default()
    };
    runtime.run_pod_sandbox(config).await.expect("a sandbox")
}

pub(crate) fn container(name: &str, image: &str) -> ContainerConfig {
    ContainerConfig {
        metadata: ContainerMetadata { name: name.to_owned(), attempt: 0 },
        image: image.into(),
        log_path: format!("{name}/0.log"),
        ..ContainerConfig::default()
    }
}

/// A container that was started.
pub(crate) async fn run(runtime: &CriRuntime, sandbox: &SandboxId, config: ContainerConfig) -> ContainerId {
    let id = runtime.create_container(sandbox, config).await.expect("a container");
    runtime.start_container(&id).await.expect("it starts");
    id
}

#[test]
fn a_pod_runs_and_leaves_nothing_behind() {
    on_a_node(async |node| {
        let runtime = CriRuntime::connect(node.socket());
        let before = what_there_is();
        let sandbox = sandbox(&runtime).await;
        let status = runtime.pod_sandbox_status(&sandbox).await.expect("its status");
        assert!(status.ips[0].to_string().starts_with("10.88."), "{status:?}");
        let forever = run(&runtime, &sandbox, container("forever", image::FOREVER)).await;
        let lines = run(&runtime, &sandbox, container("lines", image::LINES)).await;

        let output = runtime.exec_sync(&forever, vec!["hostname".to_owned()], None).await.expect("a command");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "p\n");
        let log = runtime.logs(&lines, LogOptions { follow: true, ..LogOptions::default() }).await.expect("a log");
        let log: Vec<String> =
            log.map(|line| String::from_utf8(line.expect("a line").line).expect("text")).collect().await;
        assert_eq!(log.len(), 3, "{log:?}");

        runtime.stop_container(&forever, Duration::from_secs(30)).await.expect("it stops");
        let status = runtime.container_status(&forever).await.expect("its status");
        assert_eq!((status.container.state, status.exit_code), (ContainerState::Exited, 0));
        assert_eq!(&*status.reason, "Completed");
        runtime.stop_pod_sandbox(&sandbox).await.expect("it stops");
        runtime.remove_pod_sandbox(&sandbox).await.expect("it goes");
        assert_eq!(runtime.list_containers(ContainerFilter::default()).await, Ok(Vec::new()));
        assert!(!Path::new(LOGS).exists());
        until_there_is(before).await;
    });
}

/// Waits until nothing is left of what was not there before: runtimes' own processes may take a moment to end.
pub(crate) async fn until_there_is(before: Vec<String>) {
    for _ in 0..500 {
        if what_there_is() == before {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(what_there_is(), before);
}

/// Mounts, network namespaces, devices, cgroups and processes that the test's machine has and another one need not have.
pub(crate) fn what_there_is() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let own = mounts.split_once("tmpfs /run tmpfs").expect("a machine of its own").1;
    let hierarchies = names("/sys/fs/cgroup").into_iter();
    let cgroups = hierarchies.flat_map(|hierarchy| names(&format!("{hierarchy}/k8s.io")));
    let cgroups = cgroups.filter(|path| Path::new(path).is_dir());
    let devices = names("/sys/class/net").into_iter().filter(|name| name.contains("veth"));
    let processes = names("/proc").into_iter().filter_map(|entry| {
        let command = fs::read_to_string(format!("{entry}/comm")).ok()?;
        // containerd starts others as it needs them.
        ["containerd-shim", "runc", "sh", "sleep"].contains(&command.trim()).then(|| format!("{entry} {command}"))
    });
    own.lines().map(str::to_owned).chain(names("/run/netns")).chain(cgroups).chain(devices).chain(processes).collect()
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())).collect();
    names.sort();
    names
}
