use orchestra_core::container_runtime::{ContainerId, ContainerRuntime};

use super::{exec, grpc, http, plan::Target, tcp};
use crate::kubelet::pod::health::{ProbeKind, timeout};

/// How often a probe that could not be run is tried in a row, as in Kubernetes.
const TRIES: usize = 3;

/// What one run of a probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Success,
    /// It counts as success, and people are to know this.
    Warning(String),
    Failure(String),
    /// It could not be run, so it says nothing of the container.
    Errored(String),
    /// The runtime cannot run commands in this container.
    CannotExec,
}

impl Answer {
    /// Whether the container passed; `None` if that is unknown.
    pub(super) fn is_success(&self) -> Option<bool> {
        match self {
            Self::Success | Self::Warning(_) => Some(true),
            Self::Failure(_) => Some(false),
            Self::Errored(_) | Self::CannotExec => None,
        }
    }

    /// The event that tells of it: reason and message.
    pub(super) fn event(&self, kind: ProbeKind) -> Option<(&'static str, String)> {
        let kind = match kind {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        };
        match self {
            Self::Success | Self::CannotExec => None,
            Self::Warning(text) => Some(("ProbeWarning", format!("{kind} probe warning: {text}"))),
            Self::Failure(text) => Some(("Unhealthy", format!("{kind} probe failed: {text}"))),
            Self::Errored(text) => {
                Some(("Unhealthy", format!("{kind} probe errored and resulted in unknown state: {text}")))
            }
        }
    }
}

/// Runs a probe once.
pub(super) async fn check(
    runtime: &dyn ContainerRuntime,
    container: &ContainerId,
    kind: ProbeKind,
    target: &Target,
) -> Answer {
    let mut answer = Answer::Errored("no probe is defined".to_owned());
    for _ in 0..TRIES {
        answer = attempt(runtime, container, kind, target).await;
        if !matches!(answer, Answer::Errored(_)) {
            break;
        }
    }
    answer
}

async fn attempt(runtime: &dyn ContainerRuntime, id: &ContainerId, kind: ProbeKind, target: &Target) -> Answer {
    let Some((container, probe)) = target.container().and_then(|c| Some((c, kind.of(c)?))) else {
        return Answer::Errored("the container is gone from the pod".to_owned());
    };
    let (address, timeout) = (&target.address, timeout(probe));
    if let Some(action) = &probe.exec {
        exec::probe(runtime, id, action, timeout).await
    } else if let Some(action) = &probe.http_get {
        http::probe(action, container, address, timeout).await
    } else if let Some(action) = &probe.tcp_socket {
        tcp::probe(action, container, address, timeout).await
    } else if let Some(action) = &probe.grpc {
        grpc::probe(action, address, timeout).await
    } else {
        Answer::Errored(format!("missing probe handler for {}", container.name))
    }
}
