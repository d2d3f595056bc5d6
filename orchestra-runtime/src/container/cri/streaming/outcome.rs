//! How a process ended, as the error stream tells: a `Status` of Kubernetes' API.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use orchestra_core::container_runtime::RuntimeError;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of it is read.
const LIMIT: u64 = 64 * 1024;

/// Reads the stream to its end: the exit code.
pub(super) async fn outcome(mut errors: impl AsyncRead + Unpin) -> Result<i32, RuntimeError> {
    let mut told = Vec::new();
    let read = (&mut errors).take(LIMIT).read_to_end(&mut told).await;
    read.map_err(super::upgrade::unreachable)?;
    exit_code(&told)
}

fn exit_code(told: &[u8]) -> Result<i32, RuntimeError> {
    if told.is_empty() {
        return Err(RuntimeError::Unavailable("the connection ended before the process did".to_owned()));
    }
    let Ok(status) = serde_json::from_slice::<Status>(told) else {
        return Err(RuntimeError::Failed(String::from_utf8_lossy(told).into_owned()));
    };
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes.into_iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message?.parse().ok());
    code.ok_or_else(|| RuntimeError::Failed(reason(&status.message.unwrap_or_default()).to_owned()))
}

/// What went wrong, without the words of the runtime's server around it: the kubelet's server has the same.
fn reason(message: &str) -> &str {
    let message = message.strip_prefix("Internal error occurred: ").unwrap_or(message);
    let within = ["error executing command in container: ", "error attaching to container: "];
    within.iter().find_map(|words| message.strip_prefix(words)).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_failures_are_told_apart() {
        assert_eq!(exit_code(br#"{"metadata": {}, "status": "Success"}"#), Ok(0));
        let failure = br#"{"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with non-zero
             exit code", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}"#;
        let failure = String::from_utf8_lossy(failure).replace('\n', "");
        assert_eq!(exit_code(failure.as_bytes()), Ok(7));
        let broken = br#"{"metadata": {}, "status": "Failure", "message": "no such file"}"#;
        assert_eq!(exit_code(broken), Err(RuntimeError::Failed("no such file".to_owned())));
        let framed = br#"{"metadata": {}, "status": "Failure", "message": "Internal error occurred: error executing command in container: gone"}"#;
        assert_eq!(exit_code(framed), Err(RuntimeError::Failed("gone".to_owned())));
        assert!(matches!(exit_code(b""), Err(RuntimeError::Unavailable(_))));
        assert_eq!(exit_code(b"words"), Err(RuntimeError::Failed("words".to_owned())));
    }
}
