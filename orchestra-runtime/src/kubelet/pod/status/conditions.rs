//! A pod's conditions.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use orchestra_core::condition::{self, DISRUPTION_TARGET};

use super::{RESIZE_IN_PROGRESS, RESIZE_PENDING, Reporter, phase::incomplete_init, time};
use crate::kubelet::pod::{init_containers, is_sidecar, record::PodRecord};

/// A condition that is not written yet. One without a reason or a message has an empty one.
#[derive(Clone)]
struct Verdict<'a> {
    holds: bool,
    reason: &'a str,
    message: Cow<'a, str>,
}

impl<'a> Verdict<'a> {
    fn new(holds: bool, reason: &'a str) -> Self {
        Self { holds, reason, message: "".into() }
    }

    fn because(reason: &'a str, message: impl Into<Cow<'a, str>>) -> Self {
        Self { holds: false, reason, message: message.into() }
    }

    fn status(&self) -> &'static str {
        if self.holds { "True" } else { "False" }
    }

    /// Whether `told` says the same; since when is its own.
    fn is_said_by(&self, told: &PodCondition, generation: Option<i64>) -> bool {
        told.status == self.status()
            && told.reason.as_deref().unwrap_or_default() == self.reason
            && told.message.as_deref().unwrap_or_default() == self.message
            && told.observed_generation == generation
            && told.last_transition_time.is_some()
            && told.last_probe_time.is_none()
    }
}

impl Reporter<'_> {
    pub(super) fn report_conditions(&self, pod: &Pod, record: &PodRecord, status: &mut Cow<'_, PodStatus>) {
        let sandbox_ready = record.sandbox.as_ref().is_some_and(|sandbox| sandbox.ready);
        let ended = match status.phase.as_deref() {
            Some("Succeeded") => Some("PodCompleted"),
            Some("Failed") => Some("PodFailed"),
            _ => None,
        };
        let containers_ready = match (ended, unready(pod, status)) {
            (Some(reason), _) => Verdict::new(false, reason),
            (None, unready) if unready.is_empty() => Verdict::new(true, ""),
            (None, unready) => {
                let message = format!("containers with unready status: [{}]", unready.join(" "));
                Verdict::because("ContainersNotReady", message)
            }
        };
        let ready = match missing_gates(pod, status) {
            Some(message) if containers_ready.holds => Verdict::because("ReadinessGatesNotReady", message),
            _ => containers_ready.clone(),
        };
        let uninitialized = incomplete_init(pod, record);
        let initialized = if uninitialized.is_empty() {
            Verdict::new(true, ended.filter(|reason| *reason == "PodCompleted").unwrap_or_default())
        } else {
            let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
            Verdict::because("ContainersNotInitialized", message)
        };
        for (kind, verdict) in [
            ("PodReadyToStartContainers", Verdict::new(sandbox_ready, "")),
            ("Initialized", initialized),
            ("Ready", ready),
            ("ContainersReady", containers_ready),
        ] {
            self.set(pod, status, kind, &verdict);
        }
        // The scheduler's word stands.
        if !condition::is_true(status.conditions.as_deref().unwrap_or_default(), "PodScheduled") {
            self.set(pod, status, "PodScheduled", &Verdict::new(true, ""));
        }
    }

    /// Whether the pod is to have something else than it has, and why it has not.
    pub(super) fn report_resize(&self, pod: &Pod, record: &PodRecord, status: &mut Cow<'_, PodStatus>) {
        let holds = |reason, message: &'_ str| Verdict { holds: true, reason, message: message.to_owned().into() };
        let pending = record.resize_pending.as_ref();
        let pending = pending.map(|pending| holds(pending.reason, &pending.message));
        let failed = record.resizing.values().find_map(|held| held.failed.as_ref());
        let (reason, message) = failed.map_or(("", ""), |(message, _)| ("Error", message.as_str()));
        let in_progress = (!record.resizing.is_empty()).then(|| holds(reason, message));
        for (kind, now) in [(RESIZE_PENDING, pending), (RESIZE_IN_PROGRESS, in_progress)] {
            match now {
                Some(verdict) => self.set(pod, status, kind, &verdict),
                None if condition::find(status.conditions.as_deref().unwrap_or_default(), kind).is_none() => {}
                None => condition::remove(status.to_mut().conditions.get_or_insert_default(), kind),
            }
        }
    }

    /// The condition of a pod that did not end by itself, as disruption budgets and Jobs read it.
    pub(super) fn report_disruption(&self, pod: &Pod, message: &str, status: &mut Cow<'_, PodStatus>) {
        let verdict = Verdict { holds: true, reason: "TerminationByKubelet", message: message.into() };
        self.set(pod, status, DISRUPTION_TARGET, &verdict);
    }

    fn set(&self, pod: &Pod, status: &mut Cow<'_, PodStatus>, kind: &str, verdict: &Verdict<'_>) {
        let generation = pod.metadata.generation;
        let told = condition::find(status.conditions.as_deref().unwrap_or_default(), kind);
        if told.is_some_and(|told| verdict.is_said_by(told, generation)) {
            return;
        }
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let condition = PodCondition {
            type_: kind.to_owned(),
            status: verdict.status().to_owned(),
            reason: some(verdict.reason),
            message: some(&verdict.message),
            last_transition_time: Some(time(self.now)),
            observed_generation: generation,
            ..PodCondition::default()
        };
        condition::set(status.to_mut().conditions.get_or_insert_default(), condition);
    }
}

/// The containers that are to be ready and are not.
fn unready<'a>(pod: &Pod, status: &'a PodStatus) -> Vec<&'a str> {
    let is_of_sidecar = |name: &str| init_containers(pod).iter().any(|init| init.name == name && is_sidecar(init));
    let init = status.init_container_statuses.iter().flatten().filter(|status| is_of_sidecar(&status.name));
    let all = init.chain(status.container_statuses.iter().flatten());
    all.filter(|container| !container.ready).map(|container| container.name.as_str()).collect()
}

fn missing_gates(pod: &Pod, status: &PodStatus) -> Option<String> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let messages: Vec<String> = gates
        .iter()
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match condition::find(conditions, kind) {
                None => Some(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
                Some(found) if found.status != "True" => {
                    Some(format!("the status of pod readiness gate {kind:?} is not \"True\", but {}", found.status))
                }
                Some(_) => None,
            }
        })
        .collect();
    (!messages.is_empty()).then(|| format!("[{}]", messages.join(", ")))
}
