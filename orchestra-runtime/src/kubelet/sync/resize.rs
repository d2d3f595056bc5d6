//! Gives running containers what they are to have now.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use orchestra_core::{
    container_runtime::{ContainerFilter, ContainerId, ContainerResources, RuntimeError},
    event_recorder::EventType::{Normal, Warning},
};

use super::{Unanswered, Work};
use crate::kubelet::{
    container::limits_on,
    pod::{all_containers, record::Again},
    resize::{self, Amounts, Held, Way},
};

/// When a change that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// Takes in that the pod's containers are to have something else than `before`.
    pub(super) fn begin_resize(&mut self, before: Amounts) {
        let record = &mut self.known.record;
        for (name, amounts) in before {
            if record.is_running(&name) {
                record.resizing.entry(name).or_insert(Held { amounts, failed: None });
            }
        }
        record.resize_begun = true;
    }

    /// Forgets what has come to what it is to have, or has ended, and tells when that is all.
    pub(super) fn settle_resize(&mut self) {
        let record = &mut self.known.record;
        if !record.resize_begun {
            return;
        }
        let mut resizing = std::mem::take(&mut record.resizing);
        resizing.retain(|name, held| {
            let container = all_containers(&self.pod).find(|container| container.name == *name);
            let way = container.map_or(Way::None, |container| Way::of(container, &held.amounts));
            way != Way::None && record.is_running(name)
        });
        record.resizing = resizing;
        // One that was stopped to be restarted comes up first.
        let restarts = record.containers.values().any(|known| known.again == Some(Again::AtOnce));
        if record.resizing.is_empty() && !restarts {
            record.resize_begun = false;
            if record.gone || record.failed.is_some() || self.pod.metadata.deletion_timestamp.is_some() {
                return;
            }
            let message = format!("Pod resize completed: {}", resize::details(&self.pod, None));
            self.events(&self.pod).pod(Normal, "ResizeCompleted", message);
        }
    }

    /// Tells the runtime what a container has from now on.
    pub(super) async fn resize(&mut self, pod: &Pod, container: &Container) -> Result<(), Unanswered> {
        let name = &container.name;
        let running = self.known.record.container(name).and_then(|known| known.running());
        let Some(id) = running.map(|instance| instance.id.clone()) else { return Ok(()) };
        let limits = limits_on(&self.context.config, pod, container);
        match self.change(pod, container, &id, limits).await {
            Ok(()) => drop(self.known.record.resizing.remove(name)),
            Err(RuntimeError::Unavailable(error)) => return Err(self.unanswered(&error)),
            // What ended meanwhile is started anew with it.
            Err(error) if error.is_not_found() => drop(self.slot.inbox.lock().dirty.insert(id)),
            Err(error) => {
                let again = self.context.clock.now().checked_add(RETRY).unwrap_or(self.context.clock.now());
                let message = error.to_string();
                let told = self.known.record.resizing.get_mut(name).is_some_and(|held| {
                    let before = held.failed.replace((message.clone(), again));
                    before.is_some_and(|(before, _)| before == message)
                });
                if !told {
                    let details = resize::details(pod, Some(&message));
                    self.events(pod).pod(Warning, "ResizeError", format!("Pod resize error: {details}"));
                }
            }
        }
        Ok(())
    }

    async fn change(
        &self,
        pod: &Pod,
        container: &Container,
        id: &ContainerId,
        limits: ContainerResources,
    ) -> Result<(), RuntimeError> {
        // Nothing is killed for memory that it has already.
        let of_pod = self.pod_uses_more(pod).await;
        let of_container = self.uses_more(&container.name, id, limits.memory_limit).await;
        let why = match (of_pod, of_container) {
            (None, None) => return self.context.runtime.update_container_resources(id, limits).await,
            (Some(pod), Some(container)) => format!("[{pod}, {container}]"),
            (Some(why), None) | (None, Some(why)) => why,
        };
        Err(RuntimeError::Failed(format!("cannot decrease memory limits: {why}")))
    }

    /// Why a container cannot be limited to so many bytes of memory, if it cannot.
    async fn uses_more(&self, name: &str, id: &ContainerId, limit: i64) -> Option<String> {
        let filter = ContainerFilter { id: Some(id.clone()), ..ContainerFilter::default() };
        let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0)?;
        // A runtime that cannot tell refuses by itself, or has no such trouble.
        let used = self.context.runtime.container_stats(filter).await.ok()?.first()?.memory_working_set;
        let why =
            || format!("attempting to set container {name:?} memory limit ({limit}) below current usage ({used})");
        (used > limit).then(why)
    }
}
