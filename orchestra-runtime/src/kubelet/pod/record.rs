use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use orchestra_core::container_runtime::{ContainerId, ContainerState, ContainerStatus as RuntimeStatus, SandboxId};

use super::{backoff::Backoff, health::Health};
use crate::kubelet::{
    probe::News,
    resize::{Held, Pending},
};

/// What a kubelet knows of a pod beside its object: what the runtime has of it, and what failed.
#[derive(Debug, Default)]
pub(in crate::kubelet) struct PodRecord {
    pub(in crate::kubelet) sandbox: Option<SandboxView>,
    pub(in crate::kubelet) containers: BTreeMap<String, Box<ContainerRecord>>,
    /// Why the pod is to fail, whatever its containers do: the node does not take it, or its time is over. Reason and message.
    pub(in crate::kubelet) failed: Option<(String, String)>,
    /// How long the pod's containers may take to stop, whatever the pod says.
    pub(in crate::kubelet) grace: Option<Duration>,
    /// Sandboxes of the pod before the present one, which may hold what is still of interest.
    pub(in crate::kubelet) former: Vec<SandboxId>,
    /// Containers that are too old to keep.
    pub(in crate::kubelet) superseded: Vec<ContainerId>,
    /// The API server has no such pod any more.
    pub(in crate::kubelet) gone: bool,
    /// What running containers still have that are to have something else.
    pub(in crate::kubelet) resizing: BTreeMap<String, Held>,
    /// Whether a resize began whose end is still to be told.
    pub(in crate::kubelet) resize_begun: bool,
    /// Why the node does not grant what the pod asks for now.
    pub(in crate::kubelet) resize_pending: Option<Arc<Pending>>,
}

/// A sandbox as last seen.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct SandboxView {
    pub(in crate::kubelet) id: SandboxId,
    pub(in crate::kubelet) attempt: u32,
    pub(in crate::kubelet) ready: bool,
    pub(in crate::kubelet) ips: Vec<IpAddr>,
}

/// What is known of the container of one name.
#[derive(Debug, Default)]
pub(in crate::kubelet) struct ContainerRecord {
    /// The newest one.
    pub(in crate::kubelet) current: Option<Instance>,
    /// The one before.
    pub(in crate::kubelet) last: Option<Instance>,
    /// Why there is no newer one: reason and message.
    pub(in crate::kubelet) waiting: Option<(&'static str, String)>,
    /// Not to be started before.
    pub(in crate::kubelet) not_before: Option<Timestamp>,
    pub(in crate::kubelet) crashes: Backoff,
    pub(in crate::kubelet) pulls: Backoff,
    /// The image could not be fetched, in these words, and that it is waited for is still to be told.
    pub(in crate::kubelet) failed_pull: Option<String>,
    /// The image that was tried last, if no container came of it.
    pub(in crate::kubelet) failed_image: Option<Box<str>>,
    /// The newest one was stopped to make way for another, whatever the restart policy says of how it ended.
    pub(in crate::kubelet) again: Option<Again>,
    /// What probes said of the newest one.
    pub(in crate::kubelet) health: Option<Box<Health>>,
}

/// When another container takes the place of one that was stopped for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) enum Again {
    /// At once: the definition changed.
    AtOnce,
    /// With the back-off of those before: it was unhealthy.
    WithBackOff,
}

/// A container as last seen.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct Instance {
    pub(in crate::kubelet) id: ContainerId,
    pub(in crate::kubelet) sandbox: SandboxId,
    pub(in crate::kubelet) attempt: u32,
    /// Its image, as it was asked for.
    pub(in crate::kubelet) image: Box<str>,
    pub(in crate::kubelet) image_ref: Arc<str>,
    pub(in crate::kubelet) state: ContainerState,
    pub(in crate::kubelet) started_at: Option<Timestamp>,
    pub(in crate::kubelet) finished_at: Option<Timestamp>,
    pub(in crate::kubelet) exit_code: i32,
    pub(in crate::kubelet) reason: String,
    pub(in crate::kubelet) message: String,
    /// Whether its last words are in the message.
    pub(in crate::kubelet) message_read: bool,
    /// Whether it can serve, if the runtime knows by itself.
    pub(in crate::kubelet) ready: Option<bool>,
}

impl From<RuntimeStatus> for Instance {
    fn from(status: RuntimeStatus) -> Self {
        Self {
            id: status.container.id,
            sandbox: status.container.sandbox,
            attempt: status.container.metadata.attempt,
            image: status.container.image.0.into(),
            image_ref: status.image_ref.into(),
            state: status.container.state,
            started_at: status.started_at,
            finished_at: status.finished_at,
            exit_code: status.exit_code,
            reason: status.reason,
            message: status.message,
            message_read: false,
            ready: status.ready,
        }
    }
}

impl Instance {
    /// A container that a kubelet before this one told of and the runtime does not have any more.
    fn lost(id: &str, written: &ContainerStatus, now: Timestamp) -> Self {
        let mut lost = Self {
            id: ContainerId(id.into()),
            sandbox: SandboxId("".into()),
            attempt: u32::try_from(written.restart_count).unwrap_or(0),
            image: written.image.as_str().into(),
            image_ref: written.image_id.as_str().into(),
            state: ContainerState::Running,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            message_read: true,
            ready: None,
        };
        let state = written.state.as_ref();
        if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
            lost.state = ContainerState::Exited;
            lost.exit_code = ended.exit_code;
            (lost.started_at, lost.finished_at) = (ended.started_at.as_ref().map(|at| at.0), Some(now));
            lost.finished_at = ended.finished_at.as_ref().map(|at| at.0).or(lost.finished_at);
            lost.reason = ended.reason.clone().unwrap_or_default();
            lost.message = ended.message.clone().unwrap_or_default();
        } else {
            lost.started_at = state.and_then(|state| state.running.as_ref()?.started_at.as_ref()).map(|at| at.0);
            lost.lose(now);
        }
        lost
    }

    /// Notes that the runtime does not have it any more, in Kubernetes' words.
    pub(in crate::kubelet) fn lose(&mut self, now: Timestamp) {
        self.state = ContainerState::Unknown;
        self.finished_at = Some(now);
        "ContainerStatusUnknown".clone_into(&mut self.reason);
        "The container could not be located when the pod was terminated".clone_into(&mut self.message);
    }

    pub(in crate::kubelet) fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// How it ended, if it did.
    pub(in crate::kubelet) fn exit(&self) -> Option<i32> {
        match self.state {
            ContainerState::Exited => Some(self.exit_code),
            // Kubernetes' code for a container of which nothing is known any more.
            ContainerState::Unknown => Some(137),
            ContainerState::Created | ContainerState::Running => None,
        }
    }
}

impl ContainerRecord {
    pub(in crate::kubelet) fn running(&self) -> Option<&Instance> {
        self.current.as_ref().filter(|instance| instance.is_running())
    }

    /// Whether what is known is about another image than this one.
    pub(in crate::kubelet) fn is_about_another(&self, image: &str) -> bool {
        let of_current = || self.current.as_ref().map(|instance| &*instance.image);
        self.failed_image.as_deref().or_else(of_current).is_some_and(|tried| tried != image)
    }

    /// How the newest one ended, if that counts.
    pub(in crate::kubelet) fn exit(&self) -> Option<i32> {
        self.current.as_ref().filter(|_| self.again.is_none()).and_then(Instance::exit)
    }

    /// Takes in a newer instance, or newer news of the current one. Returns the instance that is now too old to keep.
    fn see(&mut self, instance: Instance) -> Option<Instance> {
        match &mut self.current {
            Some(current) if current.id == instance.id => {
                *current = instance;
                None
            }
            Some(current) if current.attempt > instance.attempt => {
                if self.last.as_ref().is_some_and(|last| last.attempt > instance.attempt) {
                    return Some(instance);
                }
                self.last.replace(instance)
            }
            _ => {
                let previous = self.current.replace(instance);
                let replaced = self.last.take();
                self.last = previous;
                replaced
            }
        }
    }
}

impl PodRecord {
    /// Takes in a newer instance of the container of this name, or newer news of the current one.
    pub(in crate::kubelet) fn see(&mut self, name: &str, instance: Instance) {
        let known = self.containers.entry(name.to_owned()).or_default();
        self.superseded.extend(known.see(instance).map(|old| old.id));
    }

    /// Takes in a newer sandbox.
    pub(in crate::kubelet) fn see_sandbox(&mut self, sandbox: SandboxView) {
        let older = match &self.sandbox {
            Some(current) if current.attempt > sandbox.attempt => Some(sandbox),
            _ => self.sandbox.replace(sandbox),
        };
        let current = self.sandbox.as_ref().map(|sandbox| &sandbox.id);
        self.former.extend(older.map(|older| older.id).filter(|older| Some(older) != current));
    }

    /// The former sandboxes in which nothing is of interest any more.
    pub(in crate::kubelet) fn empty_sandboxes(&self) -> Vec<SandboxId> {
        let instances = || self.containers.values().flat_map(|known| known.current.iter().chain(&known.last));
        let is_empty = |id: &&SandboxId| instances().all(|instance| instance.sandbox != **id);
        self.former.iter().filter(is_empty).cloned().collect()
    }

    pub(in crate::kubelet) fn container(&self, name: &str) -> Option<&ContainerRecord> {
        self.containers.get(name).map(Box::as_ref)
    }

    pub(in crate::kubelet) fn exit(&self, name: &str) -> Option<i32> {
        self.container(name).and_then(ContainerRecord::exit)
    }

    pub(in crate::kubelet) fn is_running(&self, name: &str) -> bool {
        self.container(name).is_some_and(|container| container.running().is_some())
    }

    /// Believes what a kubelet before this one wrote of the pod, so that its restart changes no status. `runtime` is the scheme of
    /// container ids.
    pub(in crate::kubelet) fn adopt(&mut self, pod: &Pod, runtime: &str, now: Timestamp) {
        let Some(status) = &pod.status else { return };
        let ephemeral = &status.ephemeral_container_statuses;
        let all = status.init_container_statuses.iter().chain(&status.container_statuses).chain(ephemeral);
        for written in all.flatten() {
            let prefix = format!("{runtime}://");
            let Some(id) = written.container_id.as_deref().and_then(|id| id.strip_prefix(&prefix)) else { continue };
            match self.containers.get_mut(&written.name).filter(|known| known.current.is_some()) {
                Some(known) if known.current.as_ref().is_some_and(|current| *current.id.0 == *id) => {
                    known.adopt_health(written);
                }
                Some(_) => {}
                None => {
                    let known = self.containers.entry(written.name.clone()).or_default();
                    known.current = Some(Instance::lost(id, written, now));
                }
            }
        }
    }

    /// Whether any of the pod's containers runs.
    pub(in crate::kubelet) fn has_running(&self) -> bool {
        self.containers.values().any(|container| container.running().is_some())
    }

    /// Whether nothing was ever begun.
    pub(in crate::kubelet) fn is_untouched(&self) -> bool {
        self.sandbox.is_none() && self.containers.is_empty()
    }

    /// Takes in what probes came to.
    pub(in crate::kubelet) fn note(&mut self, probed: Vec<News>) {
        for News { container, kind, verdict, .. } in probed {
            let name = self.name_of(&container).map(str::to_owned);
            if let Some(known) = name.and_then(|name| self.containers.get_mut(&name)) {
                known.note(&container, kind, verdict);
            }
        }
    }

    /// The name of the container with this id.
    pub(in crate::kubelet) fn name_of(&self, id: &ContainerId) -> Option<&str> {
        let has = |record: &ContainerRecord| record.current.as_ref().is_some_and(|instance| instance.id == *id);
        self.containers.iter().find(|(_, record)| has(record)).map(|(name, _)| name.as_str())
    }
}
