//! Keeps containers' logs small (`pkg/kubelet/logs/container_log_manager.go`): a log that is large is moved away, and the runtime begins
//! another one; those that were moved away before are compressed, and the oldest removed.

mod files;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use orchestra_core::container_runtime::{ContainerFilter, ContainerId, ContainerState, RuntimeError};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::warn;

use super::{Context, container::log_file};

/// How large containers' logs become: `containerLogMaxSize`, `containerLogMaxFiles` and `containerLogMonitorInterval` of Kubernetes'
/// kubelet, and their defaults.
///
/// A log is looked at once in a `period`, and may grow beyond `max_size` until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRotation {
    /// The bytes from which on a log is moved away and another one begun; 10 MiB by default.
    pub max_size: u64,
    /// How many files a container's log may have, the present one included; 5 by default, and at least 2.
    pub max_files: usize,
    /// How often it is looked how large logs are; every 10 seconds by default.
    pub period: Duration,
}

impl Default for LogRotation {
    fn default() -> Self {
        Self { max_size: 10 << 20, max_files: 5, period: Duration::from_secs(10) }
    }
}

/// Keeps logs small until the future is dropped. A simulated node has no files.
pub(super) async fn run(context: &Context) {
    let Some(logs) = context.config.pod_logs.clone().filter(|_| context.config.is_real()) else {
        return std::future::pending().await;
    };
    loop {
        sleep(context.config.log_rotation.period).await;
        match Box::pin(round(context, &logs)).await {
            Ok(()) => {}
            Err(RuntimeError::Unsupported(what)) => {
                warn!(node = %context.node, what, "logs of containers grow without bound");
                return std::future::pending().await;
            }
            Err(error) => warn!(node = %context.node, %error, "logs not rotated"),
        }
    }
}

async fn round(context: &Context, logs: &Path) -> Result<(), RuntimeError> {
    let filter = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
    for container in context.runtime.list_containers(filter).await? {
        let Some(log) = log_file(logs, &container) else { continue };
        match rotate(context, &container.id, log).await {
            // Others' logs are not held up by one.
            Err(RotationError::Io(error)) => warn!(container = %container.id, %error, "log not rotated"),
            Err(RotationError::Runtime(error)) => return Err(error),
            Ok(()) => {}
        }
    }
    Ok(())
}

enum RotationError {
    Io(io::Error),
    Runtime(RuntimeError),
}

/// Moves a container's log away if it is large.
async fn rotate(context: &Context, id: &ContainerId, log: PathBuf) -> Result<(), RotationError> {
    let limits = context.config.log_rotation;
    let suffix = context.clock.now().strftime("%Y%m%d-%H%M%S").to_string();
    let moved = spawn_blocking(move || files::move_away(log, limits, &suffix)).await;
    let moved = moved.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(RotationError::Io)?;
    let Some(moved) = moved else { return Ok(()) };
    match context.runtime.reopen_container_log(id).await {
        // It has ended meanwhile, and its log with it.
        Err(error) if error.is_not_found() || matches!(error, RuntimeError::FailedPrecondition(_)) => {}
        Err(error) => {
            moved.back();
            return Err(RotationError::Runtime(error));
        }
        Ok(()) => {}
    }
    Ok(())
}
