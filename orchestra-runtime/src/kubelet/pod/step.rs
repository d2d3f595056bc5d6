//! The state machine: the one place that says what to do next for a pod.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{
    RestartPolicy, containers, image, init_containers, is_sidecar,
    record::{ContainerRecord, PodRecord},
};

/// How long a failed pull is shown as `ErrImagePull` before it is shown as waited for.
const SHOW_FAILED_PULL: Duration = Duration::from_secs(1);

/// What to do next.
#[derive(Debug, PartialEq)]
pub(in crate::kubelet) enum Step<'a> {
    /// Start a sandbox.
    RunSandbox,
    /// Fetch the image of a container, create it, and start it.
    Launch(&'a Container),
    /// Tell that a container's restart, or the next try to fetch its image, is held off until then.
    HoldOff { container: &'a Container, until: Timestamp, why: HoldOff },
    /// Stop a container and start one of its new definition in its place.
    Replace { container: &'a Container, grace: Duration },
    /// Stop these containers.
    Stop { containers: Vec<&'a Container>, grace: Duration },
    /// Stop the sandbox: nothing runs in it and nothing is to.
    StopSandbox,
    /// Report the end and take the pod away, here and from the API server.
    Finish,
    /// Nothing, until something happens, or until then.
    Wait(Option<Timestamp>),
}

/// Why a container is held off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum HoldOff {
    Crashed(Duration),
    ImagePull,
}

/// What to do next for `pod`, of which `record` is known. It depends on nothing else, and says [`Step::Wait`] only if nothing is to
/// be done at `now`.
pub(in crate::kubelet) fn next_step<'a>(pod: &'a Pod, record: &PodRecord, now: Timestamp) -> Step<'a> {
    if record.gone || pod.metadata.deletion_timestamp.is_some() || record.rejected.is_some() || is_terminal(pod) {
        return end(pod, record);
    }
    if has_completed(pod, record) {
        return wind_down(pod, record, grace(pod)).unwrap_or(Step::Wait(None));
    }
    if !record.sandbox.as_ref().is_some_and(|sandbox| sandbox.ready) {
        return Step::RunSandbox;
    }
    let mut wait = None;
    for container in init_containers(pod) {
        let policy = if is_sidecar(container) { RestartPolicy::Always } else { RestartPolicy::of(pod) };
        let done = match record.container(&container.name) {
            Some(known) if is_outdated(container, known) && is_sidecar(container) => {
                return Step::Replace { container, grace: grace(pod) };
            }
            Some(known) if known.running().is_some() => is_sidecar(container),
            Some(known) => known.exit() == Some(0) && !is_sidecar(container),
            None => false,
        };
        if done {
            continue;
        }
        match start(container, record, policy, now) {
            Start::Not => return Step::Wait(wait),
            Start::At(at) => return Step::Wait(earliest(wait, at)),
            Start::Step(step) => return step,
        }
    }
    for container in containers(pod) {
        if record.container(&container.name).is_some_and(|known| is_outdated(container, known)) {
            return Step::Replace { container, grace: grace(pod) };
        }
        match start(container, record, RestartPolicy::of(pod), now) {
            Start::Not => wait = later_readiness(container, record, now).map_or(wait, |at| earliest(wait, at)),
            Start::At(at) => wait = earliest(wait, at),
            Start::Step(step) => return step,
        }
    }
    Step::Wait(wait)
}

/// Whether a container runs with another image than the pod now names. Init containers are left to end.
fn is_outdated(container: &Container, known: &ContainerRecord) -> bool {
    known.running().is_some() && known.is_about_another(&image(container).0)
}

/// Whether the API server has the pod as ended; then nothing of it starts again, also after a restart of the kubelet.
fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether all has ended that is to end by itself, or an init container failed for good.
pub(in crate::kubelet) fn has_completed(pod: &Pod, record: &PodRecord) -> bool {
    let policy = RestartPolicy::of(pod);
    let failed_init = init_containers(pod)
        .iter()
        .filter(|container| !is_sidecar(container))
        .any(|container| record.exit(&container.name).is_some_and(|code| code != 0 && !policy.restarts(code)));
    let ended = |container: &Container| record.exit(&container.name).is_some_and(|code| !policy.restarts(code));
    failed_init || (!containers(pod).is_empty() && containers(pod).iter().all(ended))
}

/// How long containers may take to stop.
pub(in crate::kubelet) fn grace(pod: &Pod) -> Duration {
    let of_spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let seconds = pod.metadata.deletion_grace_period_seconds.or(of_spec).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn end<'a>(pod: &'a Pod, record: &PodRecord) -> Step<'a> {
    if let Some(step) = wind_down(pod, record, grace(pod)) {
        return step;
    }
    if record.gone || pod.metadata.deletion_timestamp.is_some() { Step::Finish } else { Step::Wait(None) }
}

/// Containers first, then sidecars, then the sandbox.
fn wind_down<'a>(pod: &'a Pod, record: &PodRecord, grace: Duration) -> Option<Step<'a>> {
    let running = |all: &'a [Container], sidecar: bool| -> Vec<&'a Container> {
        all.iter().filter(|c| is_sidecar(c) == sidecar && record.is_running(&c.name)).collect()
    };
    let mut first: Vec<&Container> =
        containers(pod).iter().filter(|container| record.is_running(&container.name)).collect();
    first.extend(running(init_containers(pod), false));
    if first.is_empty() {
        first = running(init_containers(pod), true);
    }
    if !first.is_empty() {
        return Some(Step::Stop { containers: first, grace });
    }
    record.sandbox.as_ref().filter(|sandbox| sandbox.ready).map(|_| Step::StopSandbox)
}

enum Start<'a> {
    /// It runs, or has ended for good.
    Not,
    /// Not now.
    At(Timestamp),
    Step(Step<'a>),
}

fn start<'a>(container: &'a Container, record: &PodRecord, policy: RestartPolicy, now: Timestamp) -> Start<'a> {
    let Some(known) = record.container(&container.name) else { return Start::Step(Step::Launch(container)) };
    if known.running().is_some() {
        return Start::Not;
    }
    if let Some(code) = known.exit()
        && !policy.restarts(code)
    {
        return Start::Not;
    }
    // Back-offs are of an image.
    if known.replaced || known.is_about_another(&image(container).0) {
        return Start::Step(Step::Launch(container));
    }
    if let Some(until) = known.not_before {
        return held_off(container, known, until, now);
    }
    if let Some((delay, until)) = crash_delay(known).filter(|(_, until)| *until > now) {
        return Start::Step(Step::HoldOff { container, until, why: HoldOff::Crashed(delay) });
    }
    Start::Step(Step::Launch(container))
}

fn held_off<'a>(container: &'a Container, known: &ContainerRecord, until: Timestamp, now: Timestamp) -> Start<'a> {
    if until <= now {
        return Start::Step(Step::Launch(container));
    }
    if known.failed_pull.is_none() {
        return Start::At(until);
    }
    // The pull was tried when its back-off began.
    let delay = known.pulls.delay(now);
    let tell_at = until.checked_sub(delay.saturating_sub(SHOW_FAILED_PULL)).unwrap_or(until);
    if tell_at > now {
        return Start::At(tell_at);
    }
    Start::Step(Step::HoldOff { container, until, why: HoldOff::ImagePull })
}

fn crash_delay(known: &ContainerRecord) -> Option<(Duration, Timestamp)> {
    let finished = known.current.as_ref()?.finished_at?;
    let delay = known.crashes.delay(finished);
    Some((delay, finished.checked_add(delay).ok()?))
}

/// When a running container may become ready for its probe's initial delay, if that is to come. Probes themselves are not run;
/// the runtime's word stands in for them.
pub(in crate::kubelet) fn later_readiness(
    container: &Container,
    record: &PodRecord,
    now: Timestamp,
) -> Option<Timestamp> {
    let started = record.container(&container.name)?.running()?.started_at?;
    let delay = container.readiness_probe.as_ref()?.initial_delay_seconds.filter(|delay| *delay > 0)?;
    let at = started.checked_add(Duration::from_secs(u64::try_from(delay).ok()?)).ok()?;
    (at > now).then_some(at)
}

fn earliest(wait: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
    Some(wait.map_or(at, |wait| wait.min(at)))
}
