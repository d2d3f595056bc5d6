use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orchestra_core::container_runtime::{ContainerId, ContainerState, ContainerStatus, SandboxId};

use super::{backoff::Backoff, health::Health};
use crate::kubelet::probe::News;

/// What a kubelet knows of a pod beside its object: what the runtime has of it, and what failed.
#[derive(Debug, Default)]
pub(in crate::kubelet) struct PodRecord {
    pub(in crate::kubelet) sandbox: Option<SandboxView>,
    pub(in crate::kubelet) containers: BTreeMap<String, Box<ContainerRecord>>,
    /// Why the pod is to fail, whatever its containers do: the node does not take it, or its time is over. Reason and message.
    pub(in crate::kubelet) failed: Option<(String, String)>,
    /// How long the pod's containers may take to stop, whatever the pod says.
    pub(in crate::kubelet) grace: Option<Duration>,
    /// The API server has no such pod any more.
    pub(in crate::kubelet) gone: bool,
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
    /// Whether it can serve, if the runtime knows by itself.
    pub(in crate::kubelet) ready: Option<bool>,
}

impl From<ContainerStatus> for Instance {
    fn from(status: ContainerStatus) -> Self {
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
            ready: status.ready,
        }
    }
}

impl Instance {
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
    pub(in crate::kubelet) fn see(&mut self, instance: Instance) -> Option<Instance> {
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
    pub(in crate::kubelet) fn container(&self, name: &str) -> Option<&ContainerRecord> {
        self.containers.get(name).map(Box::as_ref)
    }

    pub(in crate::kubelet) fn exit(&self, name: &str) -> Option<i32> {
        self.container(name).and_then(ContainerRecord::exit)
    }

    pub(in crate::kubelet) fn is_running(&self, name: &str) -> bool {
        self.container(name).is_some_and(|container| container.running().is_some())
    }

    /// Believes what a kubelet before this one wrote of the containers' health. `runtime` is the scheme of container ids.
    pub(in crate::kubelet) fn adopt_health(&mut self, pod: &Pod, runtime: &str) {
        let Some(status) = &pod.status else { return };
        for written in status.init_container_statuses.iter().chain(&status.container_statuses).flatten() {
            let Some(known) = self.containers.get_mut(&written.name) else { continue };
            let id = known.current.as_ref().map(|current| format!("{runtime}://{}", current.id));
            if id.is_some_and(|id| written.container_id.as_ref() == Some(&id)) {
                known.adopt_health(written);
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
