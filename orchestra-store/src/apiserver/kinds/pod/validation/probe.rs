//! Probes.

use k8s_openapi::api::core::v1::Probe;

use super::{
    lifecycle::{Handler, handler},
    non_negative,
};
use crate::apiserver::field::{Error, Errors, Path};

/// A liveness or startup probe: one success is enough.
pub(super) fn must_succeed_once(probe: &Probe, path: &Path) -> Errors {
    let mut errors = any(probe, path);
    let successes = probe.success_threshold.unwrap_or_default();
    if successes != 1 {
        errors.push(Error::invalid(&path.child("successThreshold"), successes, "must be 1"));
    }
    errors
}

/// A readiness probe ends no container, so it has no grace period.
pub(super) fn readiness(probe: &Probe, path: &Path) -> Errors {
    let mut errors = any(probe, path);
    if let Some(seconds) = probe.termination_grace_period_seconds {
        let path = path.child("terminationGracePeriodSeconds");
        errors.push(Error::invalid(&path, seconds, "must not be set for readinessProbes"));
    }
    errors
}

fn any(probe: &Probe, path: &Path) -> Errors {
    let Probe { exec, http_get, tcp_socket, grpc, .. } = probe;
    let means = Handler {
        exec: exec.as_ref(),
        http_get: http_get.as_ref(),
        tcp_socket: tcp_socket.as_ref(),
        grpc: grpc.as_ref(),
        sleep: None,
    };
    let mut errors = handler(&means, 0, path);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        non_negative(path.child(field), value, &mut errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        errors.push(Error::invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"));
    }
    errors
}
