//! The runtime as a whole.

use std::sync::Arc;

use super::{Check, Violation, World, check, ensure};

pub(super) const CHECKS: &[Check] = &[check!("node", it_tells_what_it_is), check!("node", it_is_ready)];

/// The name is the scheme of container ids.
async fn it_tells_what_it_is(world: Arc<World>) -> Result<(), Violation> {
    let version = world.runtime().version().await?;
    ensure!(!version.name.is_empty() && !version.name.contains("://"), "the name {:?} is no scheme", version.name);
    ensure!(!version.version.is_empty(), "it has no version");
    ensure!(version.api_version == "v1", "it speaks {:?}, not v1", version.api_version);
    Ok(())
}

/// A runtime that can run pods says so.
async fn it_is_ready(world: Arc<World>) -> Result<(), Violation> {
    let status = world.runtime().status().await?;
    ensure!(status.runtime.ready && status.network.ready, "it is not ready: {status:?}");
    Ok(())
}
