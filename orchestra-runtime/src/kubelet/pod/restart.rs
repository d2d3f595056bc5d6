//! Which containers start again when they have ended.

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod};

use super::{is_init, is_sidecar};

/// A restart policy, of a pod or a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    /// The container's own policy (KEP-5307; KEP-753 of sidecars), or the pod's. To init containers that do not go on, `Always` is
    /// `OnFailure`.
    pub(in crate::kubelet) fn of(pod: &Pod, container: &Container) -> Self {
        let of_pod = || pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        match container.restart_policy.as_deref().or_else(of_pod) {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ if is_init(pod, container) && !is_sidecar(container) => Self::OnFailure,
            _ => Self::Always,
        }
    }
}

/// Whether the container starts again after it ended with `code`.
pub(in crate::kubelet) fn restarts(pod: &Pod, container: &Container, code: i32) -> bool {
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    rules.iter().any(|rule| applies(rule, code))
        || match RestartPolicy::of(pod, container) {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
}

/// Whether the container starts again after the kubelet killed it for its health.
pub(in crate::kubelet) fn restarts_unhealthy(pod: &Pod, container: &Container) -> bool {
    RestartPolicy::of(pod, container) != RestartPolicy::Never
}

fn applies(rule: &ContainerRestartRule, code: i32) -> bool {
    let Some(codes) = rule.exit_codes.as_ref().filter(|_| rule.action == "Restart") else { return false };
    let among = codes.values.as_ref().is_some_and(|values| values.contains(&code));
    match codes.operator.as_str() {
        "In" => among,
        "NotIn" => !among,
        _ => false,
    }
}
