//! What the runtime's errors mean. Their words are kept: users find them in their pods' events.

use std::error::Error;

use orchestra_core::container_runtime::RuntimeError;
use tonic::{Code, Status};

/// What a call is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    Sandbox(&'a str),
    Container(&'a str),
    Image(&'a str),
    /// The runtime as a whole; what it was asked to do.
    Runtime(&'static str),
}

impl Subject<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Sandbox(_) => "sandbox",
            Self::Container(_) => "container",
            Self::Image(_) => "image",
            Self::Runtime(_) => "runtime",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Sandbox(id) | Self::Container(id) | Self::Image(id) => (*id).to_owned(),
            Self::Runtime(what) => (*what).to_owned(),
        }
    }

    pub(super) fn error(self, status: &Status) -> RuntimeError {
        let message = status.message().to_owned();
        let (kind, name) = (self.kind(), self.name());
        match status.code() {
            _ if is_unreachable(status) => unreachable(status),
            // Whatever its code: of containerd it is unknown, or, since 2.0, a failed precondition.
            _ if message.contains(" is reserved for ") => RuntimeError::AlreadyExists { kind, name },
            Code::NotFound => RuntimeError::NotFound { kind, id: name },
            Code::AlreadyExists => RuntimeError::AlreadyExists { kind, name },
            Code::DeadlineExceeded => RuntimeError::DeadlineExceeded(message),
            Code::InvalidArgument | Code::OutOfRange => RuntimeError::InvalidArgument(message),
            Code::FailedPrecondition => RuntimeError::FailedPrecondition(message),
            Code::Unimplemented => RuntimeError::Unsupported(match self {
                Self::Runtime(what) => what,
                _ => "this",
            }),
            // The runtimes have no code of their own for this.
            _ if is_about_state(&message) => RuntimeError::FailedPrecondition(message),
            _ => RuntimeError::Failed(message),
        }
    }
}

/// containerd's words, and CRI-O's.
fn is_about_state(message: &str) -> bool {
    ["is in CONTAINER_", "is not running", "not in created state", "sandbox is not ready"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether no answer came: the runtime's own ones have no cause on this side. containerd listens before it knows what it runs.
fn is_unreachable(status: &Status) -> bool {
    let is_starting = status.message().contains("server is not initialized yet");
    status.code() == Code::Unavailable || status.source().is_some() || is_starting
}

fn unreachable(status: &Status) -> RuntimeError {
    let mut message = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !message.contains(&words) {
            message = format!("{message}: {words}");
        }
        cause = error.source();
    }
    RuntimeError::Unavailable(message)
}

/// As Go's gRPC words errors, and with it the kubelet's events.
pub(super) fn rpc_words(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// Why an image could not be fetched. As in the kubelet, a code that says nothing is not told.
pub(super) fn pull_error(status: &Status) -> RuntimeError {
    if is_unreachable(status) {
        return unreachable(status);
    }
    let reason = if status.code() == Code::Unknown { status.message().to_owned() } else { rpc_words(status) };
    RuntimeError::ImagePull { reason }
}

/// Why a sandbox could not be made.
pub(super) fn sandbox_error(status: &Status, name: &str) -> RuntimeError {
    match Subject::Sandbox(name).error(status) {
        RuntimeError::Failed(_) | RuntimeError::NotFound { .. } => RuntimeError::Failed(rpc_words(status)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_container(code: Code, message: &str) -> RuntimeError {
        Subject::Container("c").error(&Status::new(code, message))
    }

    #[test]
    fn codes_and_the_words_that_stand_for_codes_are_understood() {
        assert_eq!(of_container(Code::NotFound, "x"), RuntimeError::no_container("c"));
        let reserved = r#"failed to reserve container name "a": name "a" is reserved for "b""#;
        for code in [Code::Unknown, Code::FailedPrecondition] {
            assert!(matches!(of_container(code, reserved), RuntimeError::AlreadyExists { .. }));
        }
        let exited = "container is in CONTAINER_EXITED state";
        assert_eq!(of_container(Code::Unknown, exited), RuntimeError::FailedPrecondition(exited.to_owned()));
        assert_eq!(of_container(Code::Unknown, "no runc"), RuntimeError::Failed("no runc".to_owned()));
        assert!(matches!(of_container(Code::Unavailable, "gone"), RuntimeError::Unavailable(_)));
        let starting = "server is not initialized yet";
        assert!(matches!(of_container(Code::Unknown, starting), RuntimeError::Unavailable(_)));
    }

    #[test]
    fn reasons_of_failed_pulls_are_worded_as_the_kubelets() {
        let reason = |code| pull_error(&Status::new(code, "no such image")).to_string();
        assert_eq!(reason(Code::Unknown), "no such image");
        assert_eq!(reason(Code::NotFound), "rpc error: code = NotFound desc = no such image");
    }
}
