//! Logs.

use std::sync::Arc;

use futures::TryStreamExt;
use jiff::Timestamp;

use super::{Check, Violation, World, check, ensure, ensure_error};
use crate::container_runtime::{ContainerId, LogLine, LogOptions, LogSource, RuntimeError};

pub(super) const CHECKS: &[Check] = &[
    check!("log", a_log_has_all_lines_in_order),
    check!("log", a_log_is_followed_until_the_container_has_ended),
    check!("log", a_log_begins_where_it_is_asked_to),
];

/// What `id` wrote to standard output; `None` if the runtime has no logs.
async fn lines(world: &World, id: &ContainerId, options: LogOptions) -> Result<Option<Vec<LogLine>>, Violation> {
    let log = match world.runtime().logs(id, options).await {
        Err(RuntimeError::Unsupported(_)) => return Ok(None),
        other => other?,
    };
    let mut lines: Vec<LogLine> = log.try_collect().await?;
    lines.retain(|line| line.source == LogSource::Stdout);
    Ok(Some(lines))
}

fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.line).into_owned()).collect()
}

/// With the time of each.
async fn a_log_has_all_lines_in_order(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().lines).await?;
    world.ended(&id).await?;
    let Some(lines) = lines(&world, &id, LogOptions::default()).await? else { return Ok(()) };
    ensure!(texts(&lines) == ["one", "two"], "the log is {:?}", texts(&lines));
    // A runtime tells when it read a line, which may be a little before it knows of the start, and after it knows of the end.
    let times = [lines[0].at, lines[1].at];
    ensure!(times.is_sorted(), "the times of the lines are {times:?}");
    let unknown = world.runtime().logs(&ContainerId("no-such-container".into()), LogOptions::default()).await;
    ensure_error!(unknown.map(drop), RuntimeError::NotFound { .. }, "log of no container");
    Ok(())
}

/// Not before, with all that it wrote.
async fn a_log_is_followed_until_the_container_has_ended(world: Arc<World>) -> Result<(), Violation> {
    let sandbox = world.sandbox().await?;
    let id = world.started(&sandbox, "c", &world.images().lines).await?;
    let options = || LogOptions { follow: true, ..LogOptions::default() };
    let Some(lines) = lines(&world, &id, options()).await? else { return Ok(()) };
    ensure!(texts(&lines) == ["one", "two"], "the log is {:?}", texts(&lines));
    world.ended(&id).await?;

    let id = world.started(&sandbox, "forever", &world.images().forever).await?;
    let follow = self::lines(&world, &id, options());
    let stop = world.runtime().stop_container(&id, super::HUNG);
    let (followed, stopped) = futures::join!(follow, stop);
    stopped?;
    ensure!(followed?.is_some(), "there is no log of a container that wrote nothing");
    Ok(())
}

/// So many lines from its end, and not before a time.
async fn a_log_begins_where_it_is_asked_to(world: Arc<World>) -> Result<(), Violation> {
    let id = world.alone(&world.images().lines).await?;
    world.ended(&id).await?;
    for (tail, expected) in [(0, &[][..]), (1, &["two"]), (2, &["one", "two"]), (9, &["one", "two"])] {
        let options = LogOptions { tail: Some(tail), ..LogOptions::default() };
        let Some(lines) = lines(&world, &id, options).await? else { return Ok(()) };
        ensure!(texts(&lines).iter().eq(expected), "with a tail of {tail} the log is {:?}", texts(&lines));
    }
    for (since, count) in [(Timestamp::UNIX_EPOCH, 2), (Timestamp::MAX, 0)] {
        let options = LogOptions { since: Some(since), ..LogOptions::default() };
        let Some(lines) = lines(&world, &id, options).await? else { return Ok(()) };
        ensure!(lines.len() == count, "since {since} there are {} lines, not {count}", lines.len());
    }
    Ok(())
}
