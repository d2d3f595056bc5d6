//! The state machine: the one place that says what to do next for a pod.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{
    containers, has_ended,
    health::ProbeKind,
    image, init_containers, is_sidecar,
    record::{Again, ContainerRecord, PodRecord},
    restart::restarts,
};
use crate::kubelet::resize::Way;

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
    /// Give a running container what it is to have now, in place.
    Resize(&'a Container),
    /// Stop a container and start one that has what it is to have now.
    RestartForResize { container: &'a Container, grace: Duration },
    /// Kill a container that this probe found unhealthy.
    Kill { container: &'a Container, grace: Duration, unhealthy: ProbeKind },
    /// Stop these containers: sidecars last, in reverse order of their start.
    Stop { containers: Vec<&'a Container>, grace: Duration },
    /// Have the pod fail: its time is over.
    Expire,
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

/// What to do next for `pod` with these ephemeral containers, of which `record` is known. It depends on nothing else, and says
/// [`Step::Wait`] only if nothing is to be done at `now`.
pub(in crate::kubelet) fn next_step<'a>(
    pod: &'a Pod,
    ephemeral: &'a [Container],
    record: &PodRecord,
    now: Timestamp,
) -> Step<'a> {
    if record.gone || pod.metadata.deletion_timestamp.is_some() || record.failed.is_some() || is_terminal(pod) {
        return end(pod, ephemeral, record);
    }
    if has_completed(pod, record) {
        let grace = record.grace.unwrap_or_else(|| grace(pod));
        return wind_down(pod, ephemeral, record, grace).unwrap_or(Step::Wait(None));
    }
    let deadline = deadline(pod);
    if deadline.is_some_and(|deadline| deadline <= now) {
        return Step::Expire;
    }
    match advance(pod, ephemeral, record, now) {
        Step::Wait(until) => Step::Wait(deadline.map_or(until, |deadline| earliest(until, deadline))),
        step => step,
    }
}

/// The next step of a pod that is to run.
fn advance<'a>(pod: &'a Pod, ephemeral: &'a [Container], record: &PodRecord, now: Timestamp) -> Step<'a> {
    let Some(sandbox) = record.sandbox.as_ref().filter(|sandbox| sandbox.ready) else { return Step::RunSandbox };
    let here = |container: &Container| {
        let current = record.container(&container.name).and_then(|known| known.current.as_ref());
        current.filter(|instance| instance.sandbox == sandbox.id)
    };
    // In a new sandbox all begins anew; what has begun there is not held up by sidecars that fail later.
    let initialized = containers(pod).iter().any(|container| here(container).is_some());
    let mut wait = None;
    for container in ephemeral {
        // They start once, whatever becomes of them.
        if record.container(&container.name).is_some_and(|known| known.current.is_some()) {
            continue;
        }
        match start(pod, container, record, now) {
            Start::Not => {}
            Start::At(at) => wait = earliest(wait, at),
            Start::Step(step) => return step,
        }
    }
    for container in init_containers(pod) {
        let sidecar = is_sidecar(container);
        if !sidecar && (initialized || here(container).is_some_and(|instance| instance.exit() == Some(0))) {
            continue;
        }
        let next = if sidecar { mend(pod, container, record, now) } else { None };
        if let Some(step) = next {
            return step;
        }
        wait = sooner(wait, later_resize(container, record));
        match start(pod, container, record, now) {
            Start::Not if sidecar && has_started(container, record) => {}
            Start::Not if !initialized => return Step::Wait(wait),
            Start::At(at) if !initialized => return Step::Wait(earliest(wait, at)),
            Start::Not => {}
            Start::At(at) => wait = earliest(wait, at),
            Start::Step(step) => return step,
        }
    }
    for container in containers(pod) {
        if let Some(step) = mend(pod, container, record, now) {
            return step;
        }
        wait = sooner(wait, later_resize(container, record));
        match start(pod, container, record, now) {
            Start::Not => {
                let later = record.container(&container.name).and_then(|known| known.later_readiness(container, now));
                wait = sooner(wait, later);
            }
            Start::At(at) => wait = earliest(wait, at),
            Start::Step(step) => return step,
        }
    }
    Step::Wait(wait)
}

fn has_started(container: &Container, record: &PodRecord) -> bool {
    record.container(&container.name).is_some_and(|known| known.has_started(container))
}

/// What is to be done about a container that runs and is not to go on.
fn mend<'a>(pod: &Pod, container: &'a Container, record: &PodRecord, now: Timestamp) -> Option<Step<'a>> {
    let known = record.container(&container.name)?;
    if is_outdated(container, known) {
        return Some(Step::Replace { container, grace: grace(pod) });
    }
    if let Some(step) = resize(pod, container, record, now) {
        return Some(step);
    }
    let unhealthy = known.is_unhealthy()?;
    Some(Step::Kill { container, grace: grace_of_probe(pod, container, unhealthy), unhealthy })
}

/// What is to be done about a running container that is to have something else than it has.
fn resize<'a>(pod: &Pod, container: &'a Container, record: &PodRecord, now: Timestamp) -> Option<Step<'a>> {
    let held = record.resizing.get(&container.name).filter(|_| record.is_running(&container.name))?;
    match Way::of(container, &held.amounts) {
        Way::None => None,
        Way::Restart => Some(Step::RestartForResize { container, grace: grace(pod) }),
        Way::InPlace if held.failed.as_ref().is_some_and(|(_, again)| *again > now) => None,
        Way::InPlace => Some(Step::Resize(container)),
    }
}

/// When the change of what a container has is tried again that failed.
fn later_resize(container: &Container, record: &PodRecord) -> Option<Timestamp> {
    let (_, at) = record.resizing.get(&container.name)?.failed.as_ref()?;
    Some(*at)
}

/// When the pod has been active for as long as it may: `activeDeadlineSeconds`.
fn deadline(pod: &Pod) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let started = pod.status.as_ref()?.start_time.as_ref()?.0;
    started.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?)).ok()
}

/// Whether a container runs with another image than the pod now names. Init containers are left to end.
fn is_outdated(container: &Container, known: &ContainerRecord) -> bool {
    known.running().is_some() && known.is_about_another(&image(container).0)
}

/// Whether the API server has the pod as ended; then nothing of it starts again, also after a restart of the kubelet.
fn is_terminal(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(has_ended)
}

/// Whether all has ended that is to end by itself, or an init container failed for good.
pub(in crate::kubelet) fn has_completed(pod: &Pod, record: &PodRecord) -> bool {
    let ended_with =
        |container: &Container| record.exit(&container.name).filter(|code| !restarts(pod, container, *code));
    let failed_init = init_containers(pod)
        .iter()
        .filter(|container| !is_sidecar(container))
        .any(|container| ended_with(container).is_some_and(|code| code != 0));
    let ended = |container: &Container| ended_with(container).is_some();
    failed_init || (!containers(pod).is_empty() && containers(pod).iter().all(ended))
}

/// How long containers may take to stop.
pub(in crate::kubelet) fn grace(pod: &Pod) -> Duration {
    let of_spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let seconds = pod.metadata.deletion_grace_period_seconds.or(of_spec).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// How long a container may take to stop that a probe found unhealthy: the probe may say so itself.
fn grace_of_probe(pod: &Pod, container: &Container, kind: ProbeKind) -> Duration {
    let of_probe = kind.of(container).and_then(|probe| probe.termination_grace_period_seconds);
    of_probe.and_then(|seconds| u64::try_from(seconds).ok()).map_or_else(|| grace(pod), Duration::from_secs)
}

fn end<'a>(pod: &'a Pod, ephemeral: &'a [Container], record: &PodRecord) -> Step<'a> {
    let grace = record.grace.unwrap_or_else(|| grace(pod));
    if let Some(step) = wind_down(pod, ephemeral, record, grace) {
        return step;
    }
    if record.gone || pod.metadata.deletion_timestamp.is_some() { Step::Finish } else { Step::Wait(None) }
}

/// The containers, then the sandbox.
fn wind_down<'a>(pod: &'a Pod, ephemeral: &'a [Container], record: &PodRecord, grace: Duration) -> Option<Step<'a>> {
    let init = init_containers(pod).iter();
    let (sidecars, ordinary): (Vec<_>, Vec<_>) = init.partition(|container| is_sidecar(container));
    let all = containers(pod).iter().chain(ephemeral).chain(ordinary).chain(sidecars.into_iter().rev());
    let running: Vec<&Container> = all.filter(|container| record.is_running(&container.name)).collect();
    if !running.is_empty() {
        return Some(Step::Stop { containers: running, grace });
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

fn start<'a>(pod: &Pod, container: &'a Container, record: &PodRecord, now: Timestamp) -> Start<'a> {
    let Some(known) = record.container(&container.name) else { return Start::Step(Step::Launch(container)) };
    if known.running().is_some() {
        return Start::Not;
    }
    if let Some(code) = known.exit()
        && !restarts(pod, container, code)
        && !is_ended_elsewhere(pod, container, record)
    {
        return Start::Not;
    }
    // Back-offs are of an image.
    if known.again == Some(Again::AtOnce) || known.is_about_another(&image(container).0) {
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

/// Whether an init container ended well in a sandbox that is no more: in the new one it runs again.
fn is_ended_elsewhere(pod: &Pod, container: &Container, record: &PodRecord) -> bool {
    let current = record.container(&container.name).and_then(|known| known.current.as_ref());
    let elsewhere = current.is_some_and(|instance| record.sandbox.as_ref().is_none_or(|s| s.id != instance.sandbox));
    elsewhere && init_containers(pod).iter().any(|init| init.name == container.name)
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

/// The delay after the last crash, and when it is over. A container that was killed to be restarted is as if it had run on: what counts
/// is the end of the one before, as in Kubernetes.
fn crash_delay(known: &ContainerRecord) -> Option<(Duration, Timestamp)> {
    let ended = if known.again.is_some() { &known.last } else { &known.current };
    let finished = ended.as_ref()?.finished_at?;
    let delay = known.crashes.delay(finished);
    Some((delay, finished.checked_add(delay).ok()?))
}

fn sooner(wait: Option<Timestamp>, at: Option<Timestamp>) -> Option<Timestamp> {
    at.map_or(wait, |at| earliest(wait, at))
}

fn earliest(wait: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
    Some(wait.map_or(at, |wait| wait.min(at)))
}
