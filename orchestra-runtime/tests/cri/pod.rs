//! Pods as the kubelet runs them, from nothing to nothing.

use std::{path::Path, time::Duration};

use futures::StreamExt;
use orchestra_core::container_runtime::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerMetadata, ContainerRuntime, ContainerState, LogOptions,
    SandboxConfig, SandboxId, SandboxMetadata,
};
use orchestra_runtime::container::CriRuntime;

use crate::containerd::{
    image,
    leftovers::{until_there_is, what_there_is},
    on_a_node,
};

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
