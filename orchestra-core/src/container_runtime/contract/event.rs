//! Events.

use std::sync::Arc;

use futures::StreamExt;

use super::{Check, Violation, World, check, ensure};
use crate::container_runtime::{ContainerEventKind, ContainerId};

pub(super) const CHECKS: &[Check] =
    &[check!("event", what_happens_to_a_container_is_told), check!("event", an_end_is_told_to_all_who_listen)];

/// In order, each once, and to those who listened before. A runtime that only looks from time to time sees what stays as it is until then.
async fn what_happens_to_a_container_is_told(world: Arc<World>) -> Result<(), Violation> {
    use ContainerEventKind::{Created, Deleted, ReadinessChanged, Started, Stopped};
    let sandbox = world.sandbox().await?;
    let mut events = world.runtime().events().await?;
    let id = world.started(&sandbox, "c", &world.images().exits_with_7).await?;
    let mut told = Vec::new();
    while told.last() != Some(&Deleted) {
        let Some(event) = events.next().await else { return Err(Violation::new("the events end")) };
        let event = event?;
        if event.container != id || event.kind == ReadinessChanged {
            continue;
        }
        ensure!(event.sandbox == sandbox, "{event:?} instead of one in {sandbox}");
        told.push(event.kind);
        if event.kind == Stopped {
            world.runtime().remove_container(&id).await?;
        }
    }
    let all = [Created, Started, Stopped, Deleted];
    ensure!(told == all, "{told:?} instead of {all:?}");
    Ok(())
}

/// Also if it came to its end by itself.
async fn an_end_is_told_to_all_who_listen(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let listeners = [world.runtime().events().await?, world.runtime().events().await?];
    let id: ContainerId = world.started(&sandbox, "c", &world.images().exits_with_7).await?;
    for mut events in listeners {
        loop {
            let Some(event) = events.next().await else { return Err(Violation::new("the events end")) };
            let event = event?;
            if event.container == id && event.kind == ContainerEventKind::Stopped {
                break;
            }
        }
    }
    Ok(())
}
