//! How containers and pods come to their end.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, Preconditions},
};
use orchestra_core::{
    container_runtime::{ContainerId, RuntimeError},
    event_recorder::EventType::{Normal, Warning},
};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Unanswered, Work, allowance::Allowance};
use crate::kubelet::{
    events::PodEvents,
    hook::Hooked,
    pod::{health::ProbeKind, is_init, is_sidecar, record::Again, restart::restarts_unhealthy},
};

/// What a container gets after its hook has used up its time, as in Kubernetes.
const LEAST_GRACE: Duration = Duration::from_secs(2);

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
        self.halt(pod, containers, grace).await
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
        self.halt(pod, &[container], grace).await?;
        self.start_again(container, Again::AtOnce);
        Ok(())
    }

    /// Stops a container so that another has what it is to have now (its `resizePolicy`).
    pub(super) async fn restart_for_resize(
        &mut self,
        pod: &Pod,
        container: &Container,
        grace: Duration,
    ) -> Result<(), Unanswered> {
        let message = format!("Container {} resize requires restart", container.name);
        self.events(pod).container(container, Normal, "Killing", message);
        self.halt(pod, &[container], grace).await?;
        self.start_again(container, Again::AtOnce);
        Ok(())
    }

    /// Kills a container that a probe found unhealthy. Another takes its place unless the pod's containers never restart.
    pub(super) async fn kill(
        &mut self,
        pod: &Pod,
        container: &Container,
        grace: Duration,
        unhealthy: ProbeKind,
    ) -> Result<(), Unanswered> {
        let restarts = restarts_unhealthy(pod, container);
        let intent = if restarts { ", will be restarted" } else { "" };
        let message = format!("Container {} failed {} probe{intent}", container.name, unhealthy.name());
        self.events(pod).container(container, Normal, "Killing", message);
        self.halt(pod, &[container], grace).await?;
        if restarts {
            self.start_again(container, Again::WithBackOff);
        }
        Ok(())
    }

    fn start_again(&mut self, container: &Container, again: Again) {
        if let Some(known) = self.known.record.containers.get_mut(&container.name) {
            known.again = Some(again).filter(|_| known.running().is_none());
        }
    }

    /// Runs the containers' preStop hooks and stops them. Sidecars wait for those before them in the list.
    pub(super) async fn halt(
        &mut self,
        pod: &Pod,
        containers: &[&Container],
        grace: Duration,
    ) -> Result<(), Unanswered> {
        let (context, address, allowance) =
            (self.context, self.address(), Allowance::new(grace, self.grace.subscribe()));
        let running = containers.iter().filter_map(|container| {
            Some((*container, self.known.record.container(&container.name)?.running()?.id.clone()))
        });
        let running: Vec<(&Container, ContainerId)> = running.collect();
        let ids: BTreeSet<_> = running.iter().map(|(_, id)| id.clone()).collect();
        let ended: Vec<_> = running.iter().map(|_| CancellationToken::new()).collect();
        let stopping = running.iter().enumerate().map(|(number, (container, id))| {
            let hooked = Hooked { context, pod, container, id, address: &address };
            let waits = is_init(pod, container) && is_sidecar(container);
            let before = if waits { &ended[..number] } else { &[] };
            let (stopping, ended) = (stop_one(hooked, allowance.clone(), before), &ended[number]);
            async move {
                let stopped = stopping.await;
                ended.cancel();
                stopped
            }
        });
        let stopping = join_all(stopping.collect::<Vec<_>>());
        let stopped = self.while_reporting(stopping).await?;
        stopped.into_iter().collect::<Result<(), _>>().map_err(|error| self.unanswered(&error))?;
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
        if self.mirror.is_of_static() {
            return self.finish_static(pod).await;
        }
        self.report().await?;
        self.remove_all().await?;
        self.remove_cgroup().await?;
        self.remove_files(pod).await?;
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

/// Runs a container's preStop hook, waits for its turn, and stops it, all in the time that is allowed.
async fn stop_one(
    hooked: Hooked<'_>,
    mut allowance: Allowance,
    before: &[CancellationToken],
) -> Result<(), RuntimeError> {
    let hook = hooked.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    if let Some(hook) = hook
        && let Some(Err(message)) = allowance.within(hooked.run(hook)).await
    {
        tracing::warn!(pod = %hooked.pod.name_any(), %message, "preStop hook failed");
        let events = PodEvents { recorder: &hooked.context.recorder, pod: hooked.pod };
        // Not the message: it may hold what the server answered, which is not for all eyes.
        events.container(hooked.container, Warning, "FailedPreStopHook", "PreStopHook failed");
    }
    let turn = join_all(before.iter().map(CancellationToken::cancelled));
    allowance.within(turn).await;
    loop {
        let grace = allowance.left(LEAST_GRACE);
        tokio::select! {
            biased;
            stopped = hooked.context.runtime.stop_container(hooked.id, grace) => return stopped,
            () = allowance.shortened() => {}
        }
    }
}
