//! How a pod comes to its end.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, Preconditions},
};
use orchestra_core::{
    container_runtime::{ContainerId, RuntimeError},
    event_recorder::EventType::Normal,
};

use super::{Outcome, Unanswered, Work};
use crate::kubelet::{Context, pod::step::grace, slot::Slot};

impl Work<'_> {
    /// Stops containers and waits until they have, with the grace that they get.
    pub(super) async fn stop(
        &mut self,
        pod: &Pod,
        containers: &[&Container],
        grace: Duration,
    ) -> Result<(), Unanswered> {
        for container in containers.iter().filter(|container| self.known.record.is_running(&container.name)) {
            let message = format!("Stopping container {}", container.name);
            self.events(pod).container(container, Normal, "Killing", message);
        }
        self.halt(containers, grace).await
    }

    /// Stops a container whose definition changed; one of the new definition is started next.
    pub(super) async fn replace(
        &mut self,
        pod: &Pod,
        container: &Container,
        grace: Duration,
    ) -> Result<(), Unanswered> {
        let message = format!("Container {} definition changed, will be restarted", container.name);
        self.events(pod).container(container, Normal, "Killing", message);
        self.halt(&[container], grace).await?;
        if let Some(known) = self.known.record.containers.get_mut(&container.name) {
            known.replaced = known.running().is_none();
        }
        Ok(())
    }

    async fn halt(&mut self, containers: &[&Container], grace: Duration) -> Result<(), Unanswered> {
        let running = |container: &&Container| self.known.record.container(&container.name)?.running();
        let ids: BTreeSet<_> = containers.iter().filter_map(running).map(|instance| instance.id.clone()).collect();
        let stopping = stop_all(self.context, self.slot, ids.clone(), grace);
        self.while_reporting(stopping).await?.map_err(|error| self.unanswered(&error))?;
        self.refresh(ids).await
    }

    /// Stops the sandbox, and with it whatever runs there.
    pub(super) async fn stop_sandbox(&mut self) -> Result<(), Unanswered> {
        if let Some(sandbox) = &mut self.known.record.sandbox {
            let stopped = self.context.runtime.stop_pod_sandbox(&sandbox.id).await;
            sandbox.ready = false;
            if let Err(error) = stopped {
                sandbox.ready = true;
                return Err(self.unanswered(&error));
            }
        }
        Ok(())
    }

    /// Removes what is left, and the object if it waits for that.
    pub(super) async fn finish(&mut self, pod: &Pod) -> Result<Outcome, Unanswered> {
        if !self.known.record.gone {
            self.report().await?;
        }
        if let Some(sandbox) = &self.known.record.sandbox {
            let removed = self.context.runtime.remove_pod_sandbox(&sandbox.id).await;
            removed.map_err(|error| self.unanswered(&error))?;
            self.context.sandboxes.lock().remove(&sandbox.id);
        }
        self.known.record.sandbox = None;
        if self.known.record.gone {
            return Ok(Outcome::Over);
        }
        let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match self.api().delete(&pod.name_any(), &params).await {
            // Finalizers may keep the object; then there is nothing left to do here.
            Ok(_) => Ok(Outcome::Idle),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(Outcome::Idle),
            Err(error) => Err(self.unanswered(&error)),
        }
    }
}

/// Stops containers; when the pod's grace period is cut short meanwhile, so is theirs.
async fn stop_all(
    context: &Context,
    slot: &Slot,
    ids: BTreeSet<ContainerId>,
    mut allowed: Duration,
) -> Result<(), RuntimeError> {
    loop {
        let mut stopping = pin!(join_all(ids.iter().map(|id| context.runtime.stop_container(id, allowed))));
        let shorter = loop {
            tokio::select! {
                biased;
                results = &mut stopping => return results.into_iter().collect(),
                () = slot.changed.notified() => {
                    let inbox = slot.inbox.lock();
                    let now_allowed = if inbox.gone { Duration::ZERO } else { grace(&inbox.pod) };
                    if now_allowed < allowed {
                        break now_allowed;
                    }
                }
            }
        };
        allowed = shorter;
    }
}
