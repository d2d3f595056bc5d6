//! How a process ended, as the error channel tells.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, Status, StatusCause, StatusDetails};
use orchestra_core::container_runtime::RuntimeError;

use super::Action;

/// The end of a remote command.
pub(super) enum Outcome {
    /// It succeeded, or an attachment ended.
    Success,
    /// It ended with another code than zero.
    NonZeroExit { code: i32, message: String },
    /// It could not be run.
    Failed(String),
}

impl Outcome {
    pub(super) fn of(action: &Action, ended: Result<i32, RuntimeError>) -> Self {
        match (action, ended) {
            (_, Ok(0)) | (Action::Attach, Ok(_)) => Self::Success,
            (Action::Exec(command), Ok(code)) => {
                let command = command.join(" ");
                let message = format!(
                    "command terminated with non-zero exit code: error executing command [{command}], exit code {code}"
                );
                Self::NonZeroExit { code, message }
            }
            (Action::Exec(_), Err(error)) => Self::Failed(format!("error executing command in container: {error}")),
            (Action::Attach, Err(error)) => Self::Failed(format!("error attaching to container: {error}")),
        }
    }

    /// As before version 4 of the protocol: nothing where all is well.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Success => String::new(),
            Self::NonZeroExit { message, .. } => message.clone(),
            Self::Failed(why) => format!("Internal error occurred: {why}"),
        }
    }

    /// As a `metav1.Status`.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let cause = |reason: Option<&str>, message: String| StatusDetails {
            causes: Some(vec![StatusCause { reason: reason.map(str::to_owned), message: Some(message), field: None }]),
            ..StatusDetails::default()
        };
        let failure = |reason: &str, details| Status {
            status: Some("Failure".to_owned()),
            message: Some(self.to_text()),
            reason: Some(reason.to_owned()),
            details: Some(details),
            ..Status::default()
        };
        let mut status = match self {
            Self::Success => Status { status: Some("Success".to_owned()), ..Status::default() },
            Self::NonZeroExit { code, .. } => failure("NonZeroExitCode", cause(Some("ExitCode"), code.to_string())),
            Self::Failed(why) => Status { code: Some(500), ..failure("InternalError", cause(None, why.clone())) },
        };
        status.metadata = ListMeta::default();
        // A status has nothing that JSON has no form for.
        serde_json::to_vec(&status).unwrap_or_default()
    }
}
