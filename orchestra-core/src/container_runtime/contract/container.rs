//! Containers from their beginning to their end.

use std::sync::Arc;

use super::{Check, Violation, World, check, ensure, ensure_error};
use crate::container_runtime::{ContainerState, RuntimeError};

pub(super) const CHECKS: &[Check] = &[
    check!("container", a_container_is_created_then_runs_then_has_ended),
    check!("container", a_container_is_as_it_was_asked_for),
    check!("container", a_container_that_ends_by_itself_tells_its_code),
    check!("container", a_container_is_never_started_twice),
    check!("container", no_two_containers_of_a_sandbox_have_the_same_name_and_attempt),
    check!("container", a_container_needs_its_image),
    check!("container", a_container_needs_a_sandbox_that_is_ready),
];

/// With the time of each.
async fn a_container_is_created_then_runs_then_has_ended(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let id = world.created(&sandbox, "c", &world.images().forever).await?;
    let created = world.runtime().container_status(&id).await?;
    ensure!(created.container.state == ContainerState::Created, "a new container is {:?}", created.container.state);
    ensure!(created.container.sandbox == sandbox, "it is in {}, not in {sandbox}", created.container.sandbox);
    ensure!(created.started_at.is_none() && created.finished_at.is_none(), "it has been started: {created:?}");
    world.runtime().start_container(&id).await?;
    let running = world.runtime().container_status(&id).await?;
    ensure!(running.container.state == ContainerState::Running, "a started container is {:?}", running.container.state);
    let started_at = running.started_at;
    ensure!(started_at.is_some_and(|at| at >= running.container.created_at), "it was started at {started_at:?}");
    ensure!(running.finished_at.is_none(), "it has ended at {:?}", running.finished_at);
    world.runtime().stop_container(&id, super::HUNG).await?;
    let ended = world.runtime().container_status(&id).await?;
    ensure!(ended.container.state == ContainerState::Exited, "a stopped container is {:?}", ended.container.state);
    ensure!(ended.finished_at >= started_at, "started at {started_at:?}, it ended at {:?}", ended.finished_at);
    ensure!(ended.started_at == started_at, "it was started at {:?}, which was {started_at:?}", ended.started_at);
    ensure!(ended.exit_code == 0 && ended.reason == "Completed", "{} ({})", ended.exit_code, ended.reason);
    Ok(())
}

/// Metadata, image, labels and annotations come back.
async fn a_container_is_as_it_was_asked_for(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let image = &world.images().forever;
    world.runtime().pull_image(image, None).await?;
    let mut config = world.container_config("c", image);
    config.metadata.attempt = 5;
    config.labels.insert("example.com/a".to_owned(), "x".to_owned());
    config.annotations.insert("note".to_owned(), "two words, and \"more\"".to_owned());
    let id = world.runtime().create_container(&sandbox, config.clone()).await?;
    let status = world.runtime().container_status(&id).await?;
    ensure!(!status.image_ref.is_empty(), "its image has no id");
    let listed = world.runtime().list_containers(world.container_filter()).await?;
    ensure!(listed.len() == 1, "{} containers are listed instead of one", listed.len());
    for container in listed.iter().chain([&status.container]) {
        ensure!(container.id == id && container.sandbox == sandbox, "{container:?} instead of {id} in {sandbox}");
        ensure!(container.metadata == config.metadata, "{:?}, not {:?}", container.metadata, config.metadata);
        ensure!(container.image == *image, "its image is {:?}, not {image:?}", container.image);
        ensure!(container.labels == config.labels, "labels {:?}", container.labels);
        ensure!(container.annotations == config.annotations, "annotations {:?}", container.annotations);
    }
    Ok(())
}

/// And that it was an error, if it was.
async fn a_container_that_ends_by_itself_tells_its_code(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().exits_with_7).await?;
    let status = world.ended(&id).await?;
    ensure!(status.exit_code == 7, "it ended with {}, not 7", status.exit_code);
    ensure!(status.reason == "Error", "the reason is {:?}, not Error", status.reason);
    ensure!(
        status.started_at.is_some() && status.finished_at >= status.started_at,
        "ended before its start: {status:?}"
    );
    Ok(())
}

/// Neither while it runs nor when it has ended.
async fn a_container_is_never_started_twice(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().forever).await?;
    let again = world.runtime().start_container(&id).await;
    ensure_error!(again, RuntimeError::FailedPrecondition(_), "start of a running container");
    world.runtime().stop_container(&id, super::HUNG).await?;
    let again = world.runtime().start_container(&id).await;
    ensure_error!(again, RuntimeError::FailedPrecondition(_), "start of a container that has ended");
    Ok(())
}

/// But one may have another attempt, and the name is free again when it is removed.
async fn no_two_containers_of_a_sandbox_have_the_same_name_and_attempt(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let image = &world.images().forever;
    let first = world.created(&sandbox, "c", image).await?;
    let mut config = world.container_config("c", image);
    let second = world.runtime().create_container(&sandbox, config.clone()).await;
    ensure_error!(second, RuntimeError::AlreadyExists { .. }, "a second container of name and attempt");
    config.metadata.attempt = 1;
    world.runtime().create_container(&sandbox, config.clone()).await?;
    world.runtime().remove_container(&first).await?;
    config.metadata.attempt = 0;
    let third = world.runtime().create_container(&sandbox, config).await?;
    ensure!(first != third, "the id {first} is used again");
    Ok(())
}

/// Before it can be created.
async fn a_container_needs_its_image(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let config = world.container_config("c", &world.images().missing);
    let created = world.runtime().create_container(&sandbox, config).await;
    ensure_error!(created, RuntimeError::NotFound { kind: "image", .. }, "a container without its image");
    Ok(())
}

/// One that was stopped is not.
async fn a_container_needs_a_sandbox_that_is_ready(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let image = &world.images().forever;
    world.runtime().pull_image(image, None).await?;
    world.runtime().stop_pod_sandbox(&sandbox).await?;
    // A runtime may notice a little later that the sandbox is stopped (containerd 2), when the container is started.
    let started = async {
        let id = world.runtime().create_container(&sandbox, world.container_config("c", image)).await?;
        world.runtime().start_container(&id).await
    };
    ensure_error!(started.await, RuntimeError::FailedPrecondition(_), "a container in a sandbox that was stopped");
    Ok(())
}
