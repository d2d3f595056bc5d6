//! Commands in containers.

use std::{sync::Arc, time::Duration};

use super::{Check, Violation, World, check, ensure, ensure_error};
use crate::container_runtime::{ContainerId, RuntimeError};

pub(super) const CHECKS: &[Check] = &[
    check!("exec", a_command_tells_what_it_wrote_and_how_it_ended),
    check!("exec", a_command_that_takes_too_long_is_given_up),
    check!("exec", commands_need_a_container_that_runs),
];

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Both outputs, and its code.
async fn a_command_tells_what_it_wrote_and_how_it_ended(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().forever).await?;
    let shell = command(&["sh", "-c", "echo out; echo err >&2; exit 3"]);
    for timeout in [None, Some(super::HUNG)] {
        let output = match world.runtime().exec_sync(&id, shell.clone(), timeout).await {
            Err(RuntimeError::Unsupported(_)) => return Ok(()),
            other => other?,
        };
        ensure!(output.stdout == b"out\n" && output.stderr == b"err\n", "it wrote {output:?}");
        ensure!(output.exit_code == 3, "it ended with {}, not 3", output.exit_code);
    }
    Ok(())
}

/// When its time is over.
async fn a_command_that_takes_too_long_is_given_up(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().forever).await?;
    let outcome = world.runtime().exec_sync(&id, command(&["sleep", "60"]), Some(Duration::from_secs(1))).await;
    if !matches!(outcome, Err(RuntimeError::Unsupported(_))) {
        ensure_error!(outcome, RuntimeError::DeadlineExceeded(_), "a command of a minute with a second's time");
    }
    Ok(())
}

/// Neither one that has ended nor one that is not there.
async fn commands_need_a_container_that_runs(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().exits_with_7).await?;
    world.ended(&id).await?;
    let outcome = world.runtime().exec_sync(&id, command(&["sleep", "60"]), None).await;
    if matches!(outcome, Err(RuntimeError::Unsupported(_))) {
        return Ok(());
    }
    ensure_error!(outcome, RuntimeError::FailedPrecondition(_), "a command in a container that has ended");
    let nobody = ContainerId("no-such-container".into());
    let outcome = world.runtime().exec_sync(&nobody, command(&["sleep", "60"]), None).await;
    ensure_error!(outcome, RuntimeError::NotFound { .. }, "a command in no container");
    Ok(())
}
