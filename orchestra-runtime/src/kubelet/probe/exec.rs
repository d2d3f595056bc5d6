use std::time::Duration;

use k8s_openapi::api::core::v1::ExecAction;
use orchestra_core::container_runtime::{ContainerId, ContainerRuntime, RuntimeError};

use super::check::Answer;

/// How much of a command's output goes into events, as in Kubernetes.
const MAX_OUTPUT: usize = 10 * 1024;

/// Runs the command: it passes if it ends with zero in time.
pub(super) async fn probe(
    runtime: &dyn ContainerRuntime,
    container: &ContainerId,
    action: &ExecAction,
    timeout: Duration,
) -> Answer {
    let command = action.command.clone().unwrap_or_default();
    match runtime.exec_sync(container, command.clone(), Some(timeout)).await {
        Ok(output) if output.exit_code == 0 => Answer::Success,
        Ok(mut output) => {
            output.stdout.append(&mut output.stderr);
            output.stdout.truncate(MAX_OUTPUT);
            Answer::Failure(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(RuntimeError::DeadlineExceeded(_)) => Answer::Failure(format!(
            "command timed out: {:?} timed out after {}s",
            command.join(" "),
            timeout.as_secs()
        )),
        Err(RuntimeError::Unsupported(_)) => Answer::CannotExec,
        Err(error) => Answer::Errored(error.to_string()),
    }
}
