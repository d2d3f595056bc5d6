//! What a pod's status is to say, computed from what is known of it.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus, ResourceRequirements, VolumeMount,
        VolumeMountStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use orchestra_core::{condition, container_runtime::ContainerState as RuntimeState};

use super::{
    all_containers, containers,
    ephemeral::ephemeral_containers,
    has_ended, init_containers, is_sidecar,
    record::{ContainerRecord, Instance, PodRecord},
    restart::restarts,
};
use crate::kubelet::node::{EVICTED, shutdown::TERMINATED};

/// The conditions of a resize.
pub(in crate::kubelet) const RESIZE_PENDING: &str = "PodResizePending";
pub(in crate::kubelet) const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";

/// What status needs beside the pod and its record.
pub(in crate::kubelet) struct Reporter<'a> {
    /// The scheme of container ids.
    pub(in crate::kubelet) runtime: &'a str,
    /// The node's address.
    pub(in crate::kubelet) host_ip: IpAddr,
    pub(in crate::kubelet) now: Timestamp,
}

/// The API's times have no fractions of a second.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

impl Reporter<'_> {
    /// The status that follows `old`. Equal to it if nothing changed; conditions of others are kept.
    pub(in crate::kubelet) fn report(&self, pod: &Pod, record: &PodRecord, old: &PodStatus) -> PodStatus {
        let mut status = old.clone();
        status.start_time.get_or_insert_with(|| time(self.now));
        status.host_ip = Some(self.host_ip.to_string());
        status.host_ips = Some(vec![HostIP { ip: self.host_ip.to_string() }]);
        status.observed_generation = pod.metadata.generation;
        self.report_addresses(pod, record, &mut status);
        // Kubernetes tells that a pod failed only when nothing of it runs any more.
        let failed = record.failed.as_ref().filter(|_| !record.has_running());
        if let Some((reason, message)) = failed {
            status.phase = Some("Failed".to_owned());
            status.reason = Some(reason.clone());
            status.message = Some(message.clone());
            // What the node refuses was not disrupted: it never ran.
            if [EVICTED, TERMINATED].contains(&&**reason) && record.grace.is_some() {
                condition::set(status.conditions.get_or_insert_default(), disrupted(pod, message, self.now));
            }
            if record.is_untouched() {
                return status;
            }
        }
        let initialized = incomplete_init(pod, record).is_empty();
        let init = init_containers(pod);
        if !init.is_empty() {
            let statuses = init.iter().map(|container| self.container(pod, container, record, true, initialized));
            status.init_container_statuses = Some(statuses.collect());
        }
        let ephemeral = ephemeral_containers(pod);
        if !ephemeral.is_empty() {
            // Nobody waits for them, so nobody asks how they are.
            let statuses = ephemeral.iter().map(|container| ContainerStatus {
                ready: false,
                started: None,
                ..self.container(pod, container, record, false, true)
            });
            status.ephemeral_container_statuses = Some(statuses.collect());
        }
        let statuses = containers(pod).iter().map(|c| self.container(pod, c, record, false, initialized));
        status.container_statuses = Some(statuses.collect());
        if !has_ended(old) && failed.is_none() {
            status.phase = Some(phase(pod, record, is_ending(pod, record)).to_owned());
        }
        self.report_conditions(pod, record, &mut status);
        self.report_resize(pod, record, &mut status);
        status
    }

    fn report_addresses(&self, pod: &Pod, record: &PodRecord, status: &mut PodStatus) {
        let Some(sandbox) = record.sandbox.as_ref().filter(|sandbox| sandbox.ready) else { return };
        let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false);
        let ips: Vec<IpAddr> = if host_network { vec![self.host_ip] } else { sandbox.ips.clone() };
        if let Some(first) = ips.first() {
            status.pod_ip = Some(first.to_string());
            status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.to_string() }).collect());
        }
    }

    fn container(
        &self,
        pod: &Pod,
        container: &Container,
        record: &PodRecord,
        init: bool,
        initialized: bool,
    ) -> ContainerStatus {
        let known = record.container(&container.name);
        let current = known.and_then(|known| known.current.as_ref());
        let waits_for_init = if init { true } else { !initialized };
        let held = record.resizing.get(&container.name).map(|held| &held.amounts);
        let (state, last) = self.states(known, waits_for_init && !init_containers(pod).is_empty());
        let ready = match current {
            Some(instance) if init && !is_sidecar(container) => instance.exit() == Some(0),
            Some(_) => known.is_some_and(|known| known.is_ready(container, self.now)),
            None => false,
        };
        ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            image_id: current.map(|instance| instance.image_ref.to_string()).unwrap_or_default(),
            container_id: current.map(|instance| self.container_id(instance)),
            ready,
            started: Some(known.is_some_and(|known| known.has_started(container))),
            restart_count: current.map_or(0, |instance| i32::try_from(instance.attempt).unwrap_or(i32::MAX)),
            state: Some(state),
            last_state: last.or_else(|| Some(ContainerState::default())),
            allocated_resources: current.and_then(|_| container.resources.as_ref()?.requests.clone()),
            resources: current.and_then(|_| {
                let all = held.or(container.resources.as_ref()).filter(|all| **all != Default::default());
                all.cloned().or_else(|| nothing(pod))
            }),
            volume_mounts: current.and(container.volume_mounts.as_deref()).map(mounts),
            ..ContainerStatus::default()
        }
    }

    fn container_id(&self, instance: &Instance) -> String {
        format!("{}://{}", self.runtime, instance.id)
    }

    /// The state and the last state.
    fn states(
        &self,
        known: Option<&ContainerRecord>,
        waits_for_init: bool,
    ) -> (ContainerState, Option<ContainerState>) {
        let terminated = |instance: Option<&Instance>| {
            let instance = instance.filter(|instance| instance.exit().is_some())?;
            Some(ContainerState { terminated: Some(self.terminated(instance)), ..ContainerState::default() })
        };
        let current = known.and_then(|known| known.current.as_ref());
        let last = known.and_then(|known| known.last.as_ref());
        if let Some((reason, message)) = known.and_then(|known| known.waiting.as_ref()) {
            let message = Some(message.clone()).filter(|message| !message.is_empty());
            return (waiting(reason, message), terminated(current).or_else(|| terminated(last)));
        }
        match current {
            Some(instance) if instance.is_running() => {
                let running = ContainerStateRunning { started_at: instance.started_at.map(time) };
                (ContainerState { running: Some(running), ..ContainerState::default() }, terminated(last))
            }
            Some(instance) if instance.exit().is_some() => {
                (terminated(Some(instance)).unwrap_or_default(), terminated(last))
            }
            _ => {
                let reason = if waits_for_init { "PodInitializing" } else { "ContainerCreating" };
                (waiting(reason, None), terminated(last))
            }
        }
    }

    fn terminated(&self, instance: &Instance) -> ContainerStateTerminated {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        // One that could not be started has Kubernetes' beginning of time.
        let never = (instance.state == RuntimeState::Exited).then_some(Timestamp::UNIX_EPOCH);
        ContainerStateTerminated {
            container_id: Some(self.container_id(instance)),
            exit_code: instance.exit().unwrap_or(instance.exit_code),
            reason: some(&instance.reason),
            message: some(&instance.message),
            started_at: instance.started_at.or(never).map(time),
            finished_at: instance.finished_at.map(time),
            ..ContainerStateTerminated::default()
        }
    }

    fn report_conditions(&self, pod: &Pod, record: &PodRecord, status: &mut PodStatus) {
        let phase = status.phase.clone().unwrap_or_default();
        let sandbox_ready = record.sandbox.as_ref().is_some_and(|sandbox| sandbox.ready);
        let uninitialized = incomplete_init(pod, record);
        let sidecars = init_containers(pod).iter().filter(|container| is_sidecar(container));
        let sidecars: Vec<&str> = sidecars.map(|container| container.name.as_str()).collect();
        let init_statuses = status.init_container_statuses.iter().flatten();
        let unready: Vec<&str> = init_statuses
            .filter(|container| sidecars.contains(&container.name.as_str()))
            .chain(status.container_statuses.iter().flatten())
            .filter(|container| !container.ready)
            .map(|container| container.name.as_str())
            .collect();
        let ended = match phase.as_str() {
            "Succeeded" => Some("PodCompleted"),
            "Failed" => Some("PodFailed"),
            _ => None,
        };
        let containers_ready = match ended {
            Some(reason) => (false, reason, String::new()),
            None if unready.is_empty() => (true, "", String::new()),
            None => {
                let message = format!("containers with unready status: [{}]", unready.join(" "));
                (false, "ContainersNotReady", message)
            }
        };
        let ready = match self.missing_gates(pod, status) {
            Some(message) if containers_ready.0 => (false, "ReadinessGatesNotReady", message),
            _ => containers_ready.clone(),
        };
        let initialized = match (uninitialized.is_empty(), phase.as_str()) {
            (true, "Succeeded") => (true, "PodCompleted", String::new()),
            (true, _) => (true, "", String::new()),
            (false, _) => {
                let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
                (false, "ContainersNotInitialized", message)
            }
        };
        let generation = pod.metadata.generation;
        let conditions = status.conditions.get_or_insert_default();
        for (kind, (value, reason, message)) in [
            ("PodReadyToStartContainers", (sandbox_ready, "", String::new())),
            ("Initialized", initialized),
            ("Ready", ready),
            ("ContainersReady", containers_ready),
            ("PodScheduled", (true, "", String::new())),
        ] {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let condition = PodCondition {
                type_: kind.to_owned(),
                status: if value { "True" } else { "False" }.to_owned(),
                reason: some(reason),
                message: some(&message),
                last_transition_time: Some(time(self.now)),
                observed_generation: generation,
                ..PodCondition::default()
            };
            if kind == "PodScheduled" && condition::is_true(conditions, kind) {
                continue; // the scheduler's word stands
            }
            condition::set(conditions, condition);
        }
    }

    /// Whether the pod is to have something else than it has, and why it has not.
    fn report_resize(&self, pod: &Pod, record: &PodRecord, status: &mut PodStatus) {
        let condition = |kind: &str, reason: Option<&str>, message: Option<&str>| PodCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: reason.map(str::to_owned),
            message: message.map(str::to_owned),
            last_transition_time: Some(time(self.now)),
            observed_generation: pod.metadata.generation,
            ..PodCondition::default()
        };
        let pending = record.resize_pending.as_ref();
        let pending = pending.map(|p| condition(RESIZE_PENDING, Some(p.reason), Some(&p.message)));
        let failed = record.resizing.values().find_map(|held| held.failed.as_ref());
        let failed = failed.map(|(message, _)| message.as_str());
        let in_progress =
            (!record.resizing.is_empty()).then(|| condition(RESIZE_IN_PROGRESS, failed.map(|_| "Error"), failed));
        for (kind, now) in [(RESIZE_PENDING, pending), (RESIZE_IN_PROGRESS, in_progress)] {
            match now {
                Some(now) => condition::set(status.conditions.get_or_insert_default(), now),
                None => status.conditions.iter_mut().for_each(|all| all.retain(|known| known.type_ != kind)),
            }
        }
    }

    fn missing_gates(&self, pod: &Pod, status: &PodStatus) -> Option<String> {
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
}

/// What the status says of a container that asks for nothing in a pod that asks for something: it can be resized.
fn nothing(pod: &Pod) -> Option<ResourceRequirements> {
    let none = ResourceRequirements::default();
    all_containers(pod).any(|container| container.resources.as_ref().is_some_and(|all| *all != none)).then_some(none)
}

/// The condition of a pod that did not end by itself, as disruption budgets and Jobs read it.
fn disrupted(pod: &Pod, message: &str, now: Timestamp) -> PodCondition {
    PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some("TerminationByKubelet".to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(time(now)),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    }
}

/// What the status tells of a container's mounts (KEP-3857).
fn mounts(mounts: &[VolumeMount]) -> Vec<VolumeMountStatus> {
    let status = |mount: &VolumeMount| VolumeMountStatus {
        mount_path: mount.mount_path.clone(),
        name: mount.name.clone(),
        read_only: mount.read_only,
        // What may be written to is not asked whether it is read-only all the way down.
        recursive_read_only: mount.read_only.filter(|read_only| *read_only).map(|_| "Disabled".to_owned()),
        ..VolumeMountStatus::default()
    };
    mounts.iter().map(status).collect()
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// The init containers that still have to end (sidecars: to come up). None is missed once one of the pod's containers began.
fn incomplete_init<'a>(pod: &'a Pod, record: &PodRecord) -> Vec<&'a str> {
    let known = |container: &Container| record.container(&container.name);
    if containers(pod).iter().any(|container| known(container).is_some_and(|known| known.current.is_some())) {
        return Vec::new();
    }
    let complete = |container: &Container| {
        if is_sidecar(container) {
            known(container).is_some_and(|known| known.has_started(container))
        } else {
            record.exit(&container.name) == Some(0)
        }
    };
    init_containers(pod).iter().filter(|container| !complete(container)).map(|c| c.name.as_str()).collect()
}

/// Whether nothing of the pod starts any more and all has stopped.
fn is_ending(pod: &Pod, record: &PodRecord) -> bool {
    (pod.metadata.deletion_timestamp.is_some() || record.gone)
        && containers(pod).iter().all(|container| !record.is_running(&container.name))
}

/// Kubernetes' phase: `getPhase` in `pkg/kubelet/kubelet_pods.go`.
fn phase(pod: &Pod, record: &PodRecord, ending: bool) -> &'static str {
    for container in incomplete_init(pod, record) {
        let of_name = |init: &&Container| init.name == container;
        let Some(container) = init_containers(pod).iter().find(of_name).filter(|init| !is_sidecar(init)) else {
            continue;
        };
        match record.exit(&container.name) {
            Some(code) if !restarts(pod, container, code) => return "Failed",
            _ if ending => {}
            _ => return "Pending",
        }
    }
    let (mut running, mut stopped, mut succeeded, mut restarting, mut waiting) = (0, 0, 0, 0, 0);
    for container in containers(pod) {
        let known = record.container(&container.name);
        if known.is_some_and(|known| known.running().is_some() || (known.again.is_some() && !ending)) {
            running += 1;
        } else if let Some(code) = known.and_then(|known| known.current.as_ref()?.exit()) {
            stopped += 1;
            succeeded += usize::from(code == 0);
            restarting += usize::from(restarts(pod, container, code));
        } else {
            waiting += 1;
        }
    }
    match () {
        () if waiting > 0 && !ending => "Pending",
        () if running > 0 => "Running",
        () if stopped == 0 => "Pending",
        () if ending && stopped == succeeded && waiting == 0 => "Succeeded",
        () if ending => "Failed",
        () if restarting > 0 => "Running",
        () if stopped == succeeded => "Succeeded",
        () => "Failed",
    }
}
