//! What probes say of a container, and what follows: whether it has started, whether it is ready, whether it is to be killed.
//!
//! A runtime may know by itself whether a container can serve ([`Instance::ready`]), as one whose containers are not real does. Then its
//! word stands in for the probes that go over the network, as there is nothing to connect to, and for commands as soon as the runtime
//! says that it cannot run any. CRI runtimes know nothing: there all probes are run.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, Probe};
use orchestra_core::container_runtime::ContainerId;

use super::{
    all_containers,
    record::{ContainerRecord, Instance},
};

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kubelet) enum ProbeKind {
    /// Whether the container has come up; until then the others wait.
    Startup,
    /// Whether it is still in working order.
    Liveness,
    /// Whether it can serve.
    Readiness,
}

impl ProbeKind {
    pub(in crate::kubelet) const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// The container's probe of this kind.
    pub(in crate::kubelet) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }

    /// As messages name it; capitalised at their beginning.
    pub(in crate::kubelet) fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

/// What a probe came to, after as many results in a row as it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum Verdict {
    Success,
    Failure,
    /// The runtime cannot run commands in this container.
    CannotExec,
}

/// What is known of one container's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubelet) struct Health {
    container: ContainerId,
    startup: Option<bool>,
    liveness: Option<bool>,
    readiness: Option<bool>,
    cannot_exec: bool,
}

impl Health {
    fn new(container: &ContainerId) -> Box<Self> {
        let container = container.clone();
        Box::new(Self { container, startup: None, liveness: None, readiness: None, cannot_exec: false })
    }

    fn note(&mut self, kind: ProbeKind, verdict: Verdict) {
        let result = match verdict {
            Verdict::Success => Some(true),
            Verdict::Failure => Some(false),
            Verdict::CannotExec => {
                self.cannot_exec = true;
                return;
            }
        };
        match kind {
            ProbeKind::Startup => self.startup = result,
            ProbeKind::Liveness => self.liveness = result,
            ProbeKind::Readiness => self.readiness = result,
        }
    }
}

impl ContainerRecord {
    /// What is known of the current container's health.
    fn health(&self) -> Option<&Health> {
        let current = self.current.as_ref()?;
        self.health.as_deref().filter(|health| health.container == current.id)
    }

    /// Takes in what a probe of the container `of` came to.
    pub(in crate::kubelet) fn note(&mut self, of: &ContainerId, kind: ProbeKind, verdict: Verdict) {
        if self.current.as_ref().is_none_or(|current| current.id != *of) {
            return;
        }
        let health = self.health.get_or_insert_with(|| Health::new(of));
        if health.container != *of {
            *health = Health::new(of);
        }
        health.note(kind, verdict);
    }

    /// Whether the runtime's word on `instance` stands in for the probe.
    fn stands_in(&self, probe: &Probe, instance: &Instance) -> bool {
        instance.ready.is_some() && (probe.exec.is_none() || self.health().is_some_and(|health| health.cannot_exec))
    }

    /// Whether the container runs and has come up.
    pub(in crate::kubelet) fn has_started(&self, container: &Container) -> bool {
        let Some(instance) = self.running() else { return false };
        match &container.startup_probe {
            Some(probe) if !self.stands_in(probe, instance) => self.result(ProbeKind::Startup) == Some(true),
            _ => true,
        }
    }

    /// Whether the container can serve.
    pub(in crate::kubelet) fn is_ready(&self, container: &Container, now: Timestamp) -> bool {
        let Some(instance) = self.running().filter(|_| self.has_started(container)) else { return false };
        match &container.readiness_probe {
            Some(probe) if !self.stands_in(probe, instance) => self.result(ProbeKind::Readiness) == Some(true),
            _ => instance.ready.unwrap_or(true) && self.later_readiness(container, now).is_none(),
        }
    }

    /// When a running container may become ready for its probe's initial delay, if that is to come and the runtime's word stands in
    /// for the probe.
    pub(in crate::kubelet) fn later_readiness(&self, container: &Container, now: Timestamp) -> Option<Timestamp> {
        let probe = container.readiness_probe.as_ref()?;
        let instance = self.running().filter(|instance| self.stands_in(probe, instance))?;
        let at = instance.started_at?.checked_add(seconds(probe.initial_delay_seconds, 0)).ok()?;
        (at > now).then_some(at)
    }

    /// The probe for whose failure the container is to be killed.
    pub(in crate::kubelet) fn is_unhealthy(&self) -> Option<ProbeKind> {
        self.running()?;
        [ProbeKind::Liveness, ProbeKind::Startup].into_iter().find(|kind| self.result(*kind) == Some(false))
    }

    fn result(&self, kind: ProbeKind) -> Option<bool> {
        let health = self.health()?;
        match kind {
            ProbeKind::Startup => health.startup,
            ProbeKind::Liveness => health.liveness,
            ProbeKind::Readiness => health.readiness,
        }
    }

    /// When the container's probe of this kind may run for the first time; `None` if it is not to run now.
    pub(in crate::kubelet) fn probe_from(&self, kind: ProbeKind, container: &Container) -> Option<Timestamp> {
        let probe = kind.of(container)?;
        let instance = self.running().filter(|instance| !self.stands_in(probe, instance))?;
        let due = match kind {
            ProbeKind::Startup => self.result(kind).is_none(),
            // Until there is a new container.
            ProbeKind::Liveness => self.has_started(container) && self.result(kind) != Some(false),
            ProbeKind::Readiness => self.has_started(container),
        };
        let delay = seconds(probe.initial_delay_seconds, 0);
        let delay = match kind {
            // As soon as may be: Kubernetes runs it at once when a container has started.
            ProbeKind::Readiness => delay,
            // Kubernetes runs them with the first tick of their period.
            ProbeKind::Startup | ProbeKind::Liveness => delay.max(period(probe)),
        };
        instance.started_at.filter(|_| due)?.checked_add(delay).ok()
    }

    /// Believes what a kubelet before this one wrote of the current container's health, so that a restart of the kubelet changes no status.
    pub(in crate::kubelet) fn adopt_health(&mut self, written: &ContainerStatus) {
        let Some(current) = self.running() else { return };
        let mut health = Health::new(&current.id);
        health.startup = written.started.filter(|started| *started);
        health.readiness = Some(written.ready).filter(|ready| *ready);
        self.health = Some(health);
    }
}

/// How often a probe runs.
pub(in crate::kubelet) fn period(probe: &Probe) -> Duration {
    seconds(probe.period_seconds, 10)
}

/// How long one run may take.
pub(in crate::kubelet) fn timeout(probe: &Probe) -> Duration {
    seconds(probe.timeout_seconds, 1)
}

/// The seconds of a field, or what it is if it is not set; at least that if it may not be zero.
fn seconds(field: Option<i32>, default: u64) -> Duration {
    let given = field.and_then(|seconds| u64::try_from(seconds).ok());
    Duration::from_secs(given.filter(|seconds| *seconds > 0).unwrap_or(default))
}

/// Whether the pod has any probe at all.
pub(in crate::kubelet) fn has_probes(pod: &Pod) -> bool {
    all_containers(pod).any(|container| ProbeKind::ALL.into_iter().any(|kind| kind.of(container).is_some()))
}
