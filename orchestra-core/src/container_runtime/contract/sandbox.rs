//! Sandboxes from their beginning to their end.

use std::sync::Arc;

use super::{Check, Violation, World, check, ensure, ensure_error};
use crate::container_runtime::{ContainerId, ContainerState, RuntimeError, SandboxConfig, SandboxId, SandboxState};

pub(super) const CHECKS: &[Check] = &[
    check!("sandbox", a_sandbox_is_ready_until_it_is_stopped),
    check!("sandbox", a_sandbox_is_as_it_was_asked_for),
    check!("sandbox", no_two_sandboxes_have_the_same_uid_and_attempt),
    check!("sandbox", stopping_a_sandbox_stops_its_containers),
    check!("sandbox", removing_a_sandbox_removes_its_containers),
    check!("sandbox", sandboxes_are_stopped_and_removed_again_without_error),
    check!("sandbox", what_is_not_there_is_not_found),
];

/// Ready with an address; not ready after it was stopped; not there after it was removed.
async fn a_sandbox_is_ready_until_it_is_stopped(world: Arc<World>) -> Result<(), Violation> {
    let id = world.sandbox().await?;
    let status = world.runtime().pod_sandbox_status(&id).await?;
    ensure!(status.sandbox.id == id, "the status of {id} is of {}", status.sandbox.id);
    ensure!(status.sandbox.state == SandboxState::Ready, "a new sandbox is {:?}", status.sandbox.state);
    ensure!(!status.ips.is_empty(), "a sandbox with a network of its own has no address");
    world.runtime().stop_pod_sandbox(&id).await?;
    let status = world.runtime().pod_sandbox_status(&id).await?;
    ensure!(status.sandbox.state == SandboxState::NotReady, "a stopped sandbox is {:?}", status.sandbox.state);
    world.runtime().remove_pod_sandbox(&id).await?;
    let status = world.runtime().pod_sandbox_status(&id).await;
    ensure_error!(status, RuntimeError::NotFound { .. }, "status of a removed sandbox");
    Ok(())
}

/// Metadata, labels and annotations come back.
async fn a_sandbox_is_as_it_was_asked_for(world: Arc<World>) -> Result<(), Violation> {
    let mut config = world.sandbox_config();
    config.labels.insert("example.com/a".to_owned(), "x".to_owned());
    config.annotations.insert("note".to_owned(), "two words, and \"more\"".to_owned());
    config.metadata.attempt = 3;
    let id = world.runtime().run_pod_sandbox(config.clone()).await?;
    let status = world.runtime().pod_sandbox_status(&id).await?;
    let listed = world.runtime().list_pod_sandboxes(world.sandbox_filter()).await?;
    for sandbox in listed.iter().chain([&status.sandbox]) {
        let SandboxConfig { metadata, labels, annotations, .. } = &config;
        ensure!(sandbox.metadata == *metadata, "{:?} instead of {metadata:?}", sandbox.metadata);
        ensure!(sandbox.labels == *labels, "labels {:?} instead of {labels:?}", sandbox.labels);
        ensure!(sandbox.annotations == *annotations, "annotations {:?}", sandbox.annotations);
    }
    ensure!(listed.len() == 1, "{} sandboxes are listed instead of one", listed.len());
    Ok(())
}

/// But one may have another attempt.
async fn no_two_sandboxes_have_the_same_uid_and_attempt(world: Arc<World>) -> Result<(), Violation> {
    let mut config = world.sandbox_config();
    let first = world.runtime().run_pod_sandbox(config.clone()).await?;
    let second = world.runtime().run_pod_sandbox(config.clone()).await;
    ensure_error!(second, RuntimeError::AlreadyExists { .. }, "a second sandbox of uid and attempt");
    config.metadata.attempt = 1;
    let second = world.runtime().run_pod_sandbox(config.clone()).await?;
    ensure!(first != second, "two sandboxes have the id {first}");
    world.runtime().remove_pod_sandbox(&first).await?;
    config.metadata.attempt = 0;
    let third = world.runtime().run_pod_sandbox(config).await?;
    ensure!(first != third, "the id {first} is used again");
    Ok(())
}

/// By force.
async fn stopping_a_sandbox_stops_its_containers(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let id = world.started(&sandbox, "c", &world.images().stubborn).await?;
    world.runtime().stop_pod_sandbox(&sandbox).await?;
    let status = world.runtime().container_status(&id).await?;
    ensure!(status.container.state == ContainerState::Exited, "its container is {:?}", status.container.state);
    ensure!(status.exit_code == 137, "its container ended with {}, not 137", status.exit_code);
    Ok(())
}

/// Also those that run.
async fn removing_a_sandbox_removes_its_containers(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let running = world.started(&sandbox, "running", &world.images().forever).await?;
    let created = world.created(&sandbox, "created", &world.images().forever).await?;
    world.runtime().remove_pod_sandbox(&sandbox).await?;
    for id in [running, created] {
        let status = world.runtime().container_status(&id).await;
        ensure_error!(status, RuntimeError::NotFound { .. }, "status of a container of a removed sandbox");
    }
    let listed = world.runtime().list_containers(world.container_filter()).await?;
    ensure!(listed.is_empty(), "{} containers of a removed sandbox are listed", listed.len());
    Ok(())
}

/// And so are those that never were.
async fn sandboxes_are_stopped_and_removed_again_without_error(world: Arc<World>) -> Result<(), Violation> {
    let id = world.sandbox().await?;
    for _ in 0..2 {
        world.runtime().stop_pod_sandbox(&id).await?;
    }
    for _ in 0..2 {
        world.runtime().remove_pod_sandbox(&id).await?;
    }
    world.runtime().stop_pod_sandbox(&id).await?;
    let nobody = SandboxId("no-such-sandbox".into());
    world.runtime().stop_pod_sandbox(&nobody).await?;
    world.runtime().remove_pod_sandbox(&nobody).await?;
    Ok(())
}

/// Whatever is done to it.
async fn what_is_not_there_is_not_found(world: Arc<World>) -> Result<(), Violation> {
    let (runtime, images) = (world.runtime(), world.images());
    let (sandbox, container) = (SandboxId("no-such-sandbox".into()), ContainerId("no-such-container".into()));
    runtime.pull_image(&images.forever, None).await?;
    let config = world.container_config("c", &images.forever);
    let created = runtime.create_container(&sandbox, config).await;
    ensure_error!(created, RuntimeError::NotFound { kind: "sandbox", .. }, "a container in no sandbox");
    let status = runtime.pod_sandbox_status(&sandbox).await;
    ensure_error!(status, RuntimeError::NotFound { .. }, "status of no sandbox");
    let status = runtime.container_status(&container).await;
    ensure_error!(status, RuntimeError::NotFound { .. }, "status of no container");
    let started = runtime.start_container(&container).await;
    ensure_error!(started, RuntimeError::NotFound { .. }, "start of no container");
    Ok(())
}
