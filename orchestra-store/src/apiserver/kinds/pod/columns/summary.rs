//! What a pod's containers come to: how many are ready, the restarts, and the one word that says how the pod is.

use k8s_openapi::{
    api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

/// A pod in one row.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) ready: usize,
    pub(super) total: usize,
    pub(super) reason: String,
    pub(super) restarts: i32,
    pub(super) last_restart: Option<Time>,
}

/// Restarts so far, and when the last one was.
#[derive(Default)]
struct Restarts {
    count: i32,
    last: Option<Time>,
}

impl Restarts {
    fn add(&mut self, status: &ContainerStatus) {
        self.count = self.count.saturating_add(status.restart_count);
        let ended = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.finished_at.clone());
        self.last = self.last.take().max(ended);
    }
}

impl Summary {
    pub(super) fn of(pod: &Pod) -> Self {
        let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
        let spec = pod.spec.as_ref().unwrap_or(&no_spec);
        let status = pod.status.as_ref().unwrap_or(&no_status);
        let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let total = spec.containers.len() + sidecars.count();
        let mut summary = Self { total, reason: pod_reason(status), ..Self::default() };

        let mut sidecar_restarts = Restarts::default();
        let initializing = summary.add_init_containers(spec, status, &mut sidecar_restarts);
        if !initializing || has_condition(status, "Initialized") {
            summary.add_containers(status, sidecar_restarts);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if status.reason.as_deref() == Some("NodeLost") {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Counts init containers up to the first that is not done; true if there is one.
    fn add_init_containers(&mut self, spec: &PodSpec, status: &PodStatus, sidecar_restarts: &mut Restarts) -> bool {
        let containers = spec.init_containers.as_deref().unwrap_or_default();
        let is_sidecar =
            |name: &str| containers.iter().any(|c| c.name == name && c.restart_policy.as_deref() == Some("Always"));
        let mut restarts = Restarts::default();
        let mut waits_for = None;
        for (index, container) in status.init_container_statuses.iter().flatten().enumerate() {
            restarts.add(container);
            let sidecar = is_sidecar(&container.name);
            if sidecar {
                sidecar_restarts.add(container);
            }
            let terminated = container.state.as_ref().and_then(|state| state.terminated.as_ref());
            if terminated.is_some_and(|terminated| terminated.exit_code == 0) {
                continue;
            }
            if sidecar && container.started == Some(true) {
                self.ready += usize::from(container.ready);
                continue;
            }
            waits_for = Some(init_reason(container, index, containers.len()));
            break;
        }
        (self.restarts, self.last_restart) = (restarts.count, restarts.last);
        let initializing = waits_for.is_some();
        if let Some(reason) = waits_for {
            self.reason = reason;
        }
        initializing
    }

    fn add_containers(&mut self, status: &PodStatus, mut restarts: Restarts) {
        let mut has_running = false;
        // From the last to the first, so that the first container's reason is the one that stays.
        for container in status.container_statuses.iter().flatten().rev() {
            restarts.add(container);
            let state = container.state.as_ref();
            let waiting = state.and_then(|s| s.waiting.as_ref()?.reason.as_ref()).filter(|reason| !reason.is_empty());
            let terminated = state.and_then(|s| s.terminated.as_ref());
            match (waiting, terminated) {
                (Some(reason), _) => self.reason.clone_from(reason),
                (None, Some(terminated)) => self.reason = terminated_reason(terminated),
                (None, None) if container.ready && state.is_some_and(|s| s.running.is_some()) => {
                    has_running = true;
                    self.ready += 1;
                }
                (None, None) => {}
            }
        }
        if self.reason == "Completed" && has_running {
            self.reason = if has_condition(status, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
        (self.restarts, self.last_restart) = (restarts.count, restarts.last);
    }
}

fn pod_reason(status: &PodStatus) -> String {
    let gated = |c: &k8s_openapi::api::core::v1::PodCondition| {
        c.type_ == "PodScheduled" && c.reason.as_deref() == Some("SchedulingGated")
    };
    if status.conditions.iter().flatten().any(gated) {
        return "SchedulingGated".to_owned();
    }
    let reason = status.reason.as_ref().filter(|reason| !reason.is_empty());
    reason.or(status.phase.as_ref()).cloned().unwrap_or_default()
}

fn init_reason(container: &ContainerStatus, index: usize, count: usize) -> String {
    let state = container.state.as_ref();
    if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        return format!("Init:{}", terminated_reason(terminated));
    }
    match state.and_then(|state| state.waiting.as_ref()?.reason.as_deref()) {
        Some(reason) if !reason.is_empty() && reason != "PodInitializing" => format!("Init:{reason}"),
        _ => format!("Init:{index}/{count}"),
    }
}

fn terminated_reason(terminated: &ContainerStateTerminated) -> String {
    match (terminated.reason.as_deref().unwrap_or_default(), terminated.signal.unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", terminated.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn has_condition(status: &PodStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}
