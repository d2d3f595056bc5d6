//! Lists and what they leave out.

use std::sync::Arc;

use super::{Check, Violation, World, check, ensure};
use crate::container_runtime::{ContainerFilter, ContainerState, SandboxFilter, SandboxState};

pub(super) const CHECKS: &[Check] = &[
    check!("list", sandboxes_are_listed_in_order_of_creation),
    check!("list", sandboxes_are_found_by_what_they_are),
    check!("list", containers_are_listed_in_order_of_creation),
    check!("list", containers_are_found_by_what_they_are),
];

/// Oldest first.
async fn sandboxes_are_listed_in_order_of_creation(world: Arc<World>) -> Result<(), Violation> {
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(world.sandbox().await?);
    }
    let listed = world.runtime().list_pod_sandboxes(world.sandbox_filter()).await?;
    let ids: Vec<_> = listed.into_iter().map(|sandbox| sandbox.id).collect();
    ensure!(ids == made, "{ids:?} instead of {made:?}");
    Ok(())
}

/// By id, state and labels.
async fn sandboxes_are_found_by_what_they_are(world: Arc<World>) -> Result<(), Violation> {
    let (first, second) = (world.sandbox().await?, world.sandbox().await?);
    world.runtime().stop_pod_sandbox(&first).await?;
    let by_state = |state| SandboxFilter { state: Some(state), ..world.sandbox_filter() };
    let by_id = SandboxFilter { id: Some(second.clone()), ..SandboxFilter::default() };
    let mut other = world.sandbox_filter();
    other.labels.insert("no-such-label".to_owned(), "x".to_owned());
    for (filter, expected) in [
        (by_state(SandboxState::NotReady), vec![&first]),
        (by_state(SandboxState::Ready), vec![&second]),
        (by_id, vec![&second]),
        (other, vec![]),
    ] {
        let listed = world.runtime().list_pod_sandboxes(filter.clone()).await?;
        let ids: Vec<_> = listed.iter().map(|sandbox| &sandbox.id).collect();
        ensure!(ids == expected, "{ids:?} instead of {expected:?} with {filter:?}");
    }
    Ok(())
}

/// Oldest first.
async fn containers_are_listed_in_order_of_creation(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let mut made = Vec::new();
    for name in ["c", "a", "b"] {
        made.push(world.created(&sandbox, name, &world.images().forever).await?);
    }
    let listed = world.runtime().list_containers(world.container_filter()).await?;
    let ids: Vec<_> = listed.into_iter().map(|container| container.id).collect();
    ensure!(ids == made, "{ids:?} instead of {made:?}");
    Ok(())
}

/// By id, sandbox, state and labels.
async fn containers_are_found_by_what_they_are(world: Arc<World>) -> Result<(), Violation> {
    let image = &world.images().forever;
    let (one, other) = (world.sandbox().await?, world.sandbox().await?);
    let running = world.started(&one, "running", image).await?;
    let created = world.created(&other, "created", image).await?;
    let by_state = |state| ContainerFilter { state: Some(state), ..world.container_filter() };
    let mut nobody = world.container_filter();
    nobody.labels.insert("no-such-label".to_owned(), "x".to_owned());
    for (filter, expected) in [
        (by_state(ContainerState::Running), vec![&running]),
        (by_state(ContainerState::Created), vec![&created]),
        (by_state(ContainerState::Exited), vec![]),
        (ContainerFilter { sandbox: Some(other.clone()), ..ContainerFilter::default() }, vec![&created]),
        (ContainerFilter { id: Some(running.clone()), ..ContainerFilter::default() }, vec![&running]),
        (ContainerFilter { id: Some(running.clone()), sandbox: Some(other.clone()), ..Default::default() }, vec![]),
        (nobody, vec![]),
    ] {
        let listed = world.runtime().list_containers(filter.clone()).await?;
        let ids: Vec<_> = listed.iter().map(|container| &container.id).collect();
        ensure!(ids == expected, "{ids:?} instead of {expected:?} with {filter:?}");
    }
    Ok(())
}
