//! Stopping and removing containers.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{Check, Violation, World, check, ensure, ensure_error};
use crate::container_runtime::{ContainerId, ContainerState, RuntimeError};

pub(super) const CHECKS: &[Check] = &[
    check!("stop", a_container_that_does_not_obey_is_killed_after_its_grace),
    check!("stop", of_several_stops_the_one_that_allows_least_time_counts),
    check!("stop", without_grace_a_container_is_killed_at_once),
    check!("stop", containers_are_stopped_and_removed_again_without_error),
    check!("stop", removing_a_running_container_stops_it),
];

const GRACE: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(90);

/// Not before, and with the code of SIGKILL.
async fn a_container_that_does_not_obey_is_killed_after_its_grace(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().stubborn).await?;
    let begun = Instant::now();
    world.runtime().stop_container(&id, GRACE).await?;
    ensure!(begun.elapsed() >= GRACE, "it was killed after {:?}, not {GRACE:?}", begun.elapsed());
    let status = world.runtime().container_status(&id).await?;
    ensure!(status.container.state == ContainerState::Exited, "it is {:?}", status.container.state);
    ensure!(status.exit_code == 137, "it ended with {}, not 137", status.exit_code);
    Ok(())
}

/// And all return when it has ended.
async fn of_several_stops_the_one_that_allows_least_time_counts(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().stubborn).await?;
    let long = world.runtime().stop_container(&id, LONG);
    let short = async {
        tokio::time::sleep(GRACE).await;
        world.runtime().stop_container(&id, GRACE).await
    };
    let both = timeout(LONG / 2, async { futures::join!(long, short) }).await;
    let Ok((long, short)) = both else { return Err(Violation::new("the longer grace counts")) };
    long.and(short)?;
    let state = world.runtime().container_status(&id).await?.container.state;
    ensure!(state == ContainerState::Exited, "it is {state:?}");
    Ok(())
}

/// As nothing is left of it.
async fn without_grace_a_container_is_killed_at_once(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().stubborn).await?;
    world.runtime().stop_container(&id, Duration::ZERO).await?;
    let status = world.runtime().container_status(&id).await?;
    let (state, code) = (status.container.state, status.exit_code);
    ensure!(state == ContainerState::Exited && code == 137, "it is {state:?}, with code {code}");
    Ok(())
}

/// And so are those that never were.
async fn containers_are_stopped_and_removed_again_without_error(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().exits_with_7).await?;
    world.ended(&id).await?;
    world.runtime().stop_container(&id, GRACE).await?;
    let code = world.runtime().container_status(&id).await?.exit_code;
    ensure!(code == 7, "it ended with 7, and with {code} when it was stopped then");
    for id in [id, ContainerId("no-such-container".into())] {
        world.runtime().remove_container(&id).await?;
        world.runtime().remove_container(&id).await?;
        world.runtime().stop_container(&id, GRACE).await?;
    }
    Ok(())
}

/// By force.
async fn removing_a_running_container_stops_it(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().stubborn).await?;
    world.runtime().remove_container(&id).await?;
    let status = world.runtime().container_status(&id).await;
    ensure_error!(status, RuntimeError::NotFound { .. }, "status of a removed container");
    let listed = world.runtime().list_containers(world.container_filter()).await?;
    ensure!(listed.is_empty(), "a removed container is listed");
    Ok(())
}
