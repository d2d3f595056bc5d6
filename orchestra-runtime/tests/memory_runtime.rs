//! `MemoryRuntime` under paused time, through the trait.

#![allow(clippy::unwrap_used)] // in what tests share; clippy allows it in tests by itself

use std::time::Duration;

use futures::StreamExt;
use orchestra_core::container_runtime::{
    ContainerConfig, ContainerEventKind, ContainerFilter, ContainerId, ContainerMetadata, ContainerRuntime,
    ContainerState, LogOptions, RuntimeError, SandboxConfig, SandboxFilter, SandboxId, SandboxMetadata,
};
use orchestra_runtime::container::{ImageScript, MemoryRuntime, Readiness};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn sandbox(runtime: &MemoryRuntime, uid: &str) -> SandboxId {
    let metadata = SandboxMetadata { uid: uid.to_owned(), ..Default::default() };
    runtime.run_pod_sandbox(SandboxConfig { metadata, ..Default::default() }).await.unwrap()
}

async fn created(runtime: &MemoryRuntime, sandbox: &SandboxId, image: &str) -> ContainerId {
    runtime.pull_image(&image.into(), None).await.unwrap();
    let metadata = ContainerMetadata { name: "c".to_owned(), attempt: 0 };
    let config = ContainerConfig { metadata, image: image.into(), ..Default::default() };
    runtime.create_container(sandbox, config).await.unwrap()
}

async fn started(runtime: &MemoryRuntime, image: &str) -> ContainerId {
    let id = created(runtime, &sandbox(runtime, "u").await, image).await;
    runtime.start_container(&id).await.unwrap();
    id
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_takes_the_time_that_the_runtime_was_told() {
    let start = Instant::now();
    sandbox(&MemoryRuntime::new(), "u").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    sandbox(&MemoryRuntime::new().sandbox_time(SECOND), "u").await;
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_container_lives_as_its_script_says() {
    let script = ImageScript {
        pull_time: SECOND,
        start_time: SECOND * 2,
        readiness: Readiness::After(SECOND * 3),
        exit_code_after: Some((SECOND * 10, 7)),
        ..ImageScript::default()
    };
    let runtime = MemoryRuntime::new().image("app", script);
    let begin = Instant::now();
    let id = started(&runtime, "app").await;
    assert_eq!(begin.elapsed(), SECOND * 3);
    let mut events = runtime.events().await.unwrap();

    let status = runtime.container_status(&id).await.unwrap();
    assert_eq!((status.container.state, status.ready), (ContainerState::Running, Some(false)));
    assert_eq!(events.next().await.unwrap().unwrap().kind, ContainerEventKind::ReadinessChanged);
    assert_eq!(begin.elapsed(), SECOND * 6);
    assert_eq!(runtime.container_status(&id).await.unwrap().ready, Some(true));

    assert_eq!(events.next().await.unwrap().unwrap().kind, ContainerEventKind::Stopped);
    let status = runtime.container_status(&id).await.unwrap();
    assert_eq!(begin.elapsed(), SECOND * 13);
    assert_eq!((status.container.state, status.exit_code, &*status.reason), (ContainerState::Exited, 7, "Error"));
}

#[tokio::test(start_paused = true)]
async fn an_image_without_script_runs_for_ever() {
    let runtime = MemoryRuntime::new();
    let id = started(&runtime, "nginx").await;
    sleep(SECOND * 1_000_000).await;
    let status = runtime.container_status(&id).await.unwrap();
    assert_eq!((status.container.state, status.ready), (ContainerState::Running, Some(true)));
    assert!(status.image_ref.starts_with("docker.io/library/nginx@sha256:"));
}

#[tokio::test(start_paused = true)]
async fn a_failing_pull_gives_its_reason_and_no_image() {
    let script = ImageScript { failing_pull: Some("no such thing".to_owned()), ..ImageScript::default() };
    let runtime = MemoryRuntime::new().image("bad", script);
    let error = runtime.pull_image(&"bad:latest".into(), None).await.unwrap_err();
    assert_eq!(error, RuntimeError::ImagePull { reason: "no such thing".to_owned() });
    assert_eq!(runtime.image_status(&"bad:latest".into()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ignores_sigterm_is_killed_after_its_grace() {
    let script = ImageScript { stop_time: Duration::MAX, ..ImageScript::default() };
    let runtime = MemoryRuntime::new().image("stubborn", script);
    let id = started(&runtime, "stubborn").await;
    let begin = Instant::now();
    let first = tokio::spawn({
        let (runtime, id) = (runtime.clone(), id.clone());
        async move { runtime.stop_container(&id, SECOND * 30).await }
    });
    sleep(SECOND).await;
    runtime.stop_container(&id, SECOND * 2).await.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(begin.elapsed(), SECOND * 3);
    assert_eq!(runtime.container_status(&id).await.unwrap().exit_code, 137);
    runtime.stop_container(&id, SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_and_removing_again_is_no_error() {
    let runtime = MemoryRuntime::new();
    let sandbox = sandbox(&runtime, "u").await;
    let id = created(&runtime, &sandbox, "nginx").await;
    runtime.start_container(&id).await.unwrap();
    for _ in 0..2 {
        runtime.stop_pod_sandbox(&sandbox).await.unwrap();
    }
    assert_eq!(runtime.container_status(&id).await.unwrap().exit_code, 137);
    for _ in 0..2 {
        runtime.remove_pod_sandbox(&sandbox).await.unwrap();
    }
    assert!(runtime.container_status(&id).await.unwrap_err().is_not_found());
    assert!(runtime.list_containers(ContainerFilter::default()).await.unwrap().is_empty());
    assert!(runtime.list_pod_sandboxes(SandboxFilter::default()).await.unwrap().is_empty());
    runtime.stop_container(&id, SECOND).await.unwrap();
    runtime.remove_container(&id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_two_of_a_name_and_no_second_start() {
    let runtime = MemoryRuntime::new();
    let sandbox = sandbox(&runtime, "u").await;
    let id = created(&runtime, &sandbox, "nginx").await;
    let metadata = ContainerMetadata { name: "c".to_owned(), attempt: 0 };
    let again = ContainerConfig { metadata, image: "nginx".into(), ..Default::default() };
    let error = runtime.create_container(&sandbox, again).await.unwrap_err();
    assert!(matches!(error, RuntimeError::AlreadyExists { .. }));
    runtime.start_container(&id).await.unwrap();
    assert!(matches!(runtime.start_container(&id).await.unwrap_err(), RuntimeError::FailedPrecondition(_)));
}

#[tokio::test(start_paused = true)]
async fn sandboxes_of_different_runtimes_have_different_ids_and_addresses() {
    let (first, second) = (MemoryRuntime::new(), MemoryRuntime::new());
    second.use_pod_cidr("10.244.1.0/24".parse().unwrap());
    let (a, b) = (sandbox(&first, "u").await, sandbox(&second, "v").await);
    assert_ne!(a, b);
    assert_eq!(first.pod_sandbox_status(&a).await.unwrap().ips[0].to_string(), "10.244.0.2");
    assert_eq!(second.pod_sandbox_status(&b).await.unwrap().ips[0].to_string(), "10.244.1.2");
    assert!(first.pod_sandbox_status(&b).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn logs_are_told_and_followed_to_the_end() {
    let script = ImageScript {
        log_lines: vec!["one".to_owned(), "two".to_owned()],
        exit_code_after: Some((SECOND, 0)),
        ..ImageScript::default()
    };
    let runtime = MemoryRuntime::new().image("app", script);
    let id = started(&runtime, "app").await;
    let options = LogOptions { follow: true, tail: Some(1), since: None };
    let begin = Instant::now();
    let lines: Vec<_> = runtime.logs(&id, options).await.unwrap().collect().await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].as_ref().unwrap().line, b"two");
    assert_eq!(begin.elapsed(), SECOND);
}
