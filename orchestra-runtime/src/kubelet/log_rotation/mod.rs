//! Keeps containers' logs small (`pkg/kubelet/logs/container_log_manager.go`): a log that is large is moved away, and the runtime begins
//! another one; those that were moved away before are compressed, and the oldest removed.

mod files;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use orchestra_core::{
    clock::Clock,
    container_runtime::{ContainerFilter, ContainerId, ContainerRuntime, ContainerState, RuntimeError},
};
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
        let runtime = &*context.runtime;
        let rotation = Rotation { runtime, clock: &*context.clock, limits: context.config.log_rotation };
        match Box::pin(rotation.round(&logs)).await {
            Ok(()) => {}
            Err(RuntimeError::Unsupported(what)) => {
                warn!(node = %context.node, what, "logs of containers grow without bound");
                return std::future::pending().await;
            }
            Err(error) => warn!(node = %context.node, %error, "logs not rotated"),
        }
    }
}

/// What it takes to look at all logs once.
struct Rotation<'a> {
    runtime: &'a dyn ContainerRuntime,
    clock: &'a dyn Clock,
    limits: LogRotation,
}

impl Rotation<'_> {
    /// Looks at all logs. One that cannot be rotated does not hold up others; what all would meet with is returned.
    async fn round(&self, logs: &Path) -> Result<(), RuntimeError> {
        let filter = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
        for container in self.runtime.list_containers(filter).await? {
            let Some(log) = log_file(logs, &container) else { continue };
            let id = &container.id;
            match self.rotate(id, log).await {
                Err(RotationError::Runtime(error @ (RuntimeError::Unsupported(_) | RuntimeError::Unavailable(_)))) => {
                    return Err(error);
                }
                Err(error) => warn!(container = %id, %error, "log not rotated"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Moves a container's log away if it is large.
    async fn rotate(&self, id: &ContainerId, log: PathBuf) -> Result<(), RotationError> {
        let limits = self.limits;
        let suffix = self.clock.now().strftime("%Y%m%d-%H%M%S").to_string();
        let moved = spawn_blocking(move || files::move_away(log, limits, &suffix)).await;
        let Some(moved) = moved.unwrap_or_else(|error| Err(io::Error::other(error)))? else { return Ok(()) };
        match self.runtime.reopen_container_log(id).await {
            // It has ended meanwhile, and its log with it.
            Err(error) if error.is_not_found() || matches!(error, RuntimeError::FailedPrecondition(_)) => {}
            Err(error) => {
                moved.back();
                return Err(error.into());
            }
            Ok(()) => {}
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum RotationError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use jiff::Timestamp;
    use orchestra_core::{
        clock::SystemClock,
        container_runtime::{Container, ContainerMetadata, ImageSpec, MockContainerRuntime, SandboxId, labels},
    };

    use super::*;

    /// The logs of the containers `a` and `b`, which are as large as they may become.
    struct Logs(PathBuf);

    impl Logs {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("orchestra-logs-{}-{name}", std::process::id()));
            let logs = Self(root);
            for container in ["a", "b"] {
                fs::create_dir_all(logs.folder(container)).unwrap();
                fs::write(logs.folder(container).join("0.log"), "text").unwrap();
            }
            logs
        }

        fn folder(&self, container: &str) -> PathBuf {
            self.0.join("default_web_u").join(container)
        }

        /// Whether the container's log is where it was.
        fn is_there(&self, container: &str) -> bool {
            self.folder(container).join("0.log").exists()
        }
    }

    impl Drop for Logs {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn container(name: &str) -> Container {
        let labels = [(labels::POD_NAMESPACE, "default"), (labels::POD_NAME, "web"), (labels::POD_UID, "u")];
        Container {
            id: ContainerId(name.into()),
            sandbox: SandboxId("s".into()),
            metadata: ContainerMetadata { name: name.to_owned(), attempt: 0 },
            image: ImageSpec::from("nginx"),
            image_ref: String::new(),
            state: ContainerState::Running,
            created_at: Timestamp::UNIX_EPOCH,
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            annotations: BTreeMap::new(),
        }
    }

    /// A round with a runtime that says this of the container `a`.
    async fn round(logs: &Logs, said: fn() -> RuntimeError) -> Result<(), RuntimeError> {
        let mut runtime = MockContainerRuntime::new();
        runtime.expect_list_containers().returning(|_| Ok(vec![container("a"), container("b")]));
        let reopened = move |id: &ContainerId| if &*id.0 == "a" { Err(said()) } else { Ok(()) };
        runtime.expect_reopen_container_log().returning(reopened);
        let limits = LogRotation { max_size: 1, ..LogRotation::default() };
        Rotation { runtime: &runtime, clock: &SystemClock, limits }.round(&logs.0).await
    }

    #[tokio::test]
    async fn a_log_that_is_not_begun_anew_does_not_hold_up_others() {
        let logs = Logs::new("one");
        round(&logs, || RuntimeError::Failed("no task".to_owned())).await.unwrap();
        assert_eq!((logs.is_there("a"), logs.is_there("b")), (true, false));
    }

    #[tokio::test]
    async fn a_runtime_that_is_away_ends_the_round() {
        let logs = Logs::new("all");
        let error = round(&logs, || RuntimeError::Unavailable("no socket".to_owned())).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Unavailable(_)), "{error}");
        assert_eq!((logs.is_there("a"), logs.is_there("b")), (true, true));
    }
}
