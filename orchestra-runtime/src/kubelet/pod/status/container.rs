//! What is said of one container.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, Pod, ResourceRequirements, VolumeMount, VolumeMountStatus,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use orchestra_core::container_runtime::{ContainerId, ContainerState as RuntimeState};

use super::{Reporter, text::shows, time};
use crate::kubelet::pod::{
    all_containers, init_containers, is_sidecar,
    record::{ContainerRecord, Instance, PodRecord},
};

/// What runs first, what makes up the pod, and what users add to look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Init,
    Main,
    Ephemeral,
}

/// A container's status that shares with the pod what it can, so that one that is told already costs little.
pub(super) struct Told<'a> {
    name: &'a str,
    image: &'a str,
    image_id: &'a str,
    /// The scheme and the id.
    id: Option<(&'a str, &'a ContainerId)>,
    ready: bool,
    started: Option<bool>,
    restart_count: i32,
    state: ContainerState,
    last_state: ContainerState,
    allocated_resources: Option<&'a BTreeMap<String, Quantity>>,
    resources: Option<Cow<'a, ResourceRequirements>>,
    mounts: Option<&'a [VolumeMount]>,
}

impl Told<'_> {
    /// Whether `status` says the same. That there was no container before may be said in two ways, as servers keep either.
    pub(super) fn is_said_by(&self, status: &ContainerStatus) -> bool {
        let ContainerStatus {
            allocated_resources,
            allocated_resources_status: None,
            container_id,
            image,
            image_id,
            last_state,
            name,
            ready,
            resources,
            restart_count,
            started,
            state,
            stop_signal: None,
            user: None,
            volume_mounts,
        } = status
        else {
            return false;
        };
        let none = ContainerState::default();
        let same_id = match self.id {
            Some((scheme, id)) => shows(container_id.as_deref(), format_args!("{scheme}://{id}")),
            None => container_id.is_none(),
        };
        let same_mounts = match (self.mounts, volume_mounts) {
            (Some(mounts), Some(told)) => {
                mounts.len() == told.len() && mounts.iter().zip(told).all(|(mount, told)| is_mount(mount, told))
            }
            (mounts, told) => mounts.is_none() && told.is_none(),
        };
        same_id
            && same_mounts
            && (self.name, self.image, self.image_id) == (name, image, image_id)
            && (self.ready, self.started, self.restart_count) == (*ready, *started, *restart_count)
            && state.as_ref() == Some(&self.state)
            && *last_state.as_ref().unwrap_or(&none) == self.last_state
            && allocated_resources.as_ref() == self.allocated_resources
            && resources.as_ref() == self.resources.as_deref()
    }

    pub(super) fn into_status(self) -> ContainerStatus {
        ContainerStatus {
            name: self.name.to_owned(),
            image: self.image.to_owned(),
            image_id: self.image_id.to_owned(),
            container_id: self.id.map(|(scheme, id)| format!("{scheme}://{id}")),
            ready: self.ready,
            started: self.started,
            restart_count: self.restart_count,
            state: Some(self.state),
            last_state: Some(self.last_state),
            allocated_resources: self.allocated_resources.cloned(),
            resources: self.resources.map(Cow::into_owned),
            volume_mounts: self.mounts.map(|mounts| mounts.iter().map(mount_status).collect()),
            ..ContainerStatus::default()
        }
    }
}

impl Reporter<'_> {
    pub(super) fn container<'a>(
        &'a self,
        pod: &'a Pod,
        container: &'a Container,
        record: &'a PodRecord,
        kind: Kind,
        initialized: bool,
    ) -> Told<'a> {
        let known = record.container(&container.name);
        let current = known.and_then(|known| known.current.as_ref());
        let waits_for_init = match kind {
            Kind::Init => true,
            Kind::Main => !initialized && !init_containers(pod).is_empty(),
            Kind::Ephemeral => false,
        };
        let held = record.resizing.get(&container.name).map(|held| &held.amounts);
        let (state, last) = self.states(known, waits_for_init);
        let ready = match (kind, current) {
            // Nobody waits for them, so nobody asks how they are.
            (Kind::Ephemeral, _) | (_, None) => false,
            (Kind::Init, Some(instance)) if !is_sidecar(container) => instance.exit() == Some(0),
            (_, Some(_)) => known.is_some_and(|known| known.is_ready(container, self.now)),
        };
        let started = known.is_some_and(|known| known.has_started(container));
        let nothing = || nothing(pod).map(Cow::Owned);
        let resources = held.or(container.resources.as_ref()).filter(|all| **all != Default::default());
        Told {
            name: &container.name,
            image: container.image.as_deref().unwrap_or_default(),
            image_id: current.map(|instance| &*instance.image_ref).unwrap_or_default(),
            id: current.map(|instance| (self.runtime, &instance.id)),
            ready,
            started: (kind != Kind::Ephemeral).then_some(started),
            restart_count: current.map_or(0, |instance| i32::try_from(instance.attempt).unwrap_or(i32::MAX)),
            state,
            last_state: last.unwrap_or_default(),
            allocated_resources: current.and_then(|_| container.resources.as_ref()?.requests.as_ref()),
            resources: current.and_then(|_| resources.map(Cow::Borrowed).or_else(nothing)),
            mounts: current.and(container.volume_mounts.as_deref()),
        }
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
            container_id: Some(format!("{}://{}", self.runtime, instance.id)),
            exit_code: instance.exit().unwrap_or(instance.exit_code),
            reason: some(&instance.reason),
            message: some(&instance.message),
            started_at: instance.started_at.or(never).map(time),
            finished_at: instance.finished_at.map(time),
            ..ContainerStateTerminated::default()
        }
    }
}

/// What the status says of a container that asks for nothing in a pod that asks for something: it can be resized.
fn nothing(pod: &Pod) -> Option<ResourceRequirements> {
    let none = ResourceRequirements::default();
    all_containers(pod).any(|container| container.resources.as_ref().is_some_and(|all| *all != none)).then_some(none)
}

/// What may be written to is not asked whether it is read-only all the way down.
fn recursive_read_only(mount: &VolumeMount) -> Option<&'static str> {
    mount.read_only.filter(|read_only| *read_only).map(|_| "Disabled")
}

/// What the status tells of a container's mount (KEP-3857).
fn mount_status(mount: &VolumeMount) -> VolumeMountStatus {
    VolumeMountStatus {
        mount_path: mount.mount_path.clone(),
        name: mount.name.clone(),
        read_only: mount.read_only,
        recursive_read_only: recursive_read_only(mount).map(str::to_owned),
        ..VolumeMountStatus::default()
    }
}

/// Whether that is told already.
fn is_mount(mount: &VolumeMount, told: &VolumeMountStatus) -> bool {
    mount.mount_path == told.mount_path
        && mount.name == told.name
        && mount.read_only == told.read_only
        && recursive_read_only(mount) == told.recursive_read_only.as_deref()
        && told.volume_status.is_none()
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}
