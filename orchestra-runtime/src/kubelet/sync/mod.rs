//! Takes a pod as far as it can go now: does what the state machine says, and reports.

mod allowance;
mod cgroup;
mod clean;
mod launch;
mod message;
mod mirror;
mod probe;
mod report;
mod resize;
mod stop;
mod volumes;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt};
use orchestra_core::{
    container_runtime::{ContainerId, RuntimeError, SandboxConfig, SandboxId, SandboxState},
    event_recorder::EventType::{Normal, Warning},
};
use tokio::sync::watch;
use tracing::warn;

use self::volumes::Kept;
use super::{
    Context, admission,
    container::{ConfigError, sandbox_config},
    events::PodEvents,
    launch::run_sandbox,
    node::lack_of_network,
    pod::{
        ephemeral::ephemeral_containers,
        record::SandboxView,
        step::{Step, grace, next_step},
    },
    probe::Address,
    runtime_class,
    slot::{Known, Slot},
    static_pods::Mirror,
    volume,
};

/// When to look at the pod again, beside when something happens.
pub(super) enum Outcome {
    /// Not before something happens.
    Idle,
    /// At this time.
    At(Timestamp),
    /// Soon: something did not answer.
    Retry,
    /// Never: it is over.
    Over,
}

/// Something did not answer; why was logged.
struct Unanswered;

/// Syncs a pod. Calls for one pod must not overlap.
pub(super) async fn sync(context: &Context, slot: &Slot) -> Outcome {
    let known = slot.known.lock().take().unwrap_or_default();
    let pod = slot.inbox.lock().pod.wake();
    let mut work = Work { context, slot, pod, mirror: Mirror::default(), known, grace: watch::Sender::new(None) };
    let outcome = work.run().await.unwrap_or(Outcome::Retry);
    *slot.known.lock() = Some(work.known);
    outcome
}

struct Work<'a> {
    context: &'a Context,
    slot: &'a Slot,
    pod: Arc<Pod>,
    /// What shows the pod in the API.
    mirror: Mirror,
    known: Box<Known>,
    /// How long the pod's containers may take to stop, once it is to end.
    grace: watch::Sender<Option<Duration>>,
}

impl Work<'_> {
    async fn run(&mut self) -> Result<Outcome, Unanswered> {
        loop {
            self.look().await?;
            self.admit().await?;
            let pod = Arc::clone(&self.pod);
            let ephemeral = ephemeral_containers(&pod);
            let step = next_step(&pod, &ephemeral, &self.known.record, self.context.clock.now());
            let look_again = match self.keep_volumes(&pod, &step).await? {
                Kept::Until(at) => at,
                Kept::Changed => continue,
                Kept::Stuck(outcome) => return Ok(outcome),
            };
            let again = self.keep_cgroup(&pod, &step).await?;
            let look_again = look_again.into_iter().chain(again).min();
            match step {
                Step::RunSandbox => self.run_sandbox(&pod).await?,
                Step::Launch(container) => self.launch(&pod, container).await?,
                Step::HoldOff { container, until, why } => self.hold_off(&pod, container, until, why),
                Step::Replace { container, grace } => self.replace(&pod, container, grace).await?,
                Step::Resize(container) => Box::pin(self.resize(&pod, container)).await?,
                Step::RestartForResize { container, grace } => {
                    Box::pin(self.restart_for_resize(&pod, container, grace)).await?;
                }
                Step::Kill { container, grace, unhealthy } => self.kill(&pod, container, grace, unhealthy).await?,
                Step::Expire => self.expire(&pod),
                Step::Stop { containers, grace } => self.stop(&pod, &containers, grace).await?,
                Step::StopSandbox => self.stop_sandbox().await?,
                Step::Finish => return self.finish(&pod).await,
                Step::Wait(until) => {
                    self.report().await?;
                    let until = until.into_iter().chain(look_again).min();
                    return Ok(until.map_or(Outcome::Idle, Outcome::At));
                }
            }
        }
    }

    /// Takes in what came since the last look.
    async fn look(&mut self) -> Result<(), Unanswered> {
        self.listen();
        let (mut ids, all) = {
            let mut inbox = self.slot.inbox.lock();
            (std::mem::take(&mut inbox.dirty), std::mem::take(&mut inbox.all_dirty))
        };
        if all {
            let current = self.known.record.containers.values().filter_map(|known| known.current.as_ref());
            ids.extend(current.map(|instance| instance.id.clone()));
        }
        if all || !ids.is_empty() {
            self.look_at_sandbox().await?;
        }
        self.refresh(ids).await?;
        self.read_messages().await;
        self.clean().await
    }

    /// Whether the sandbox can still hold containers: it may be what they ended for.
    async fn look_at_sandbox(&mut self) -> Result<(), Unanswered> {
        let Some(sandbox) = self.known.record.sandbox.as_mut().filter(|sandbox| sandbox.ready) else { return Ok(()) };
        match self.context.runtime.pod_sandbox_status(&sandbox.id).await {
            Ok(status) => sandbox.ready = status.sandbox.state == SandboxState::Ready,
            Err(error) if error.is_not_found() => sandbox.ready = false,
            Err(error) => {
                self.slot.inbox.lock().all_dirty = true;
                return Err(self.unanswered(&error));
            }
        }
        Ok(())
    }

    /// Takes in what came of the pod itself and of its probes, which asks for no call to the runtime.
    fn listen(&mut self) {
        let (gone, resized) = {
            let mut inbox = self.slot.inbox.lock();
            self.pod = inbox.pod.wake();
            self.mirror.clone_from(&inbox.mirror);
            if let Some(rejected) = inbox.rejected.take() {
                self.known.record.failed = Some(*rejected);
            }
            if let Some(ending) = inbox.ended.take().filter(|_| self.known.record.failed.is_none()) {
                self.known.record.failed = Some((ending.reason.to_owned(), ending.message));
                self.known.record.grace = Some(ending.grace);
            }
            self.known.record.note(std::mem::take(&mut inbox.probed));
            self.known.record.resize_pending.clone_from(&inbox.resize_pending);
            (inbox.gone, inbox.resized.take())
        };
        if let Some(before) = resized {
            self.begin_resize(*before);
        }
        self.settle_resize();
        self.known.record.gone |= gone;
        self.believe_mirror();
        let ends = self.pod.metadata.deletion_timestamp.is_some();
        let grace =
            if gone { Some(Duration::ZERO) } else { self.known.record.grace.or(ends.then(|| grace(&self.pod))) };
        self.grace.send_if_modified(|known| std::mem::replace(known, grace) != grace);
        if self.known.written.as_ref().is_some_and(|(version, _)| report::version(&self.pod.metadata) >= *version) {
            self.known.written = None;
        }
    }

    async fn refresh(&mut self, ids: BTreeSet<ContainerId>) -> Result<(), Unanswered> {
        for id in ids {
            let Some(name) = self.known.record.name_of(&id).map(str::to_owned) else { continue };
            match self.context.runtime.container_status(&id).await {
                Ok(status) => self.known.record.see(&name, status.into()),
                Err(error) if error.is_not_found() => {
                    let now = self.context.clock.now();
                    let known = self.known.record.containers.get_mut(&name).and_then(|known| known.current.as_mut());
                    if let Some(current) = known.filter(|instance| instance.exit().is_none()) {
                        current.lose(now);
                    }
                }
                Err(error) => {
                    // To be looked at again when it answers.
                    self.slot.inbox.lock().dirty.insert(id);
                    return Err(self.unanswered(&error));
                }
            }
        }
        Ok(())
    }

    fn unanswered(&self, error: &dyn std::fmt::Display) -> Unanswered {
        warn!(node = %self.context.node, pod = %self.pod.name_any(), %error, "sync of pod failed, trying again");
        Unanswered
    }

    /// Checks once, before anything runs, that the node goes with the pod's selector. The labels that count are those in the
    /// API, where users add some.
    async fn admit(&mut self) -> Result<(), Unanswered> {
        let has_selector =
            self.pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref()).is_some_and(|s| !s.is_empty());
        if !self.known.admitted && self.known.record.sandbox.is_none() && has_selector {
            let node = Api::<Node>::all(self.context.client.clone()).get_opt(&self.context.node).await;
            let labels = match node {
                Ok(Some(node)) => node.metadata.labels.unwrap_or_default(),
                Ok(None) => self.context.config.labels.clone(),
                // Static pods run without it.
                Err(_) if self.mirror.is_of_static() => self.context.config.labels.clone(),
                Err(error) => return Err(self.unanswered(&error)),
            };
            if let Some((reason, message)) = admission::mismatch(&self.pod, &labels) {
                self.events(&self.pod).pod(Warning, &reason, message.clone());
                self.known.record.failed = Some((reason, format!("Pod was rejected: {message}")));
            }
        }
        self.known.admitted = true;
        Ok(())
    }

    /// Ends a pod that was active for as long as it may be.
    fn expire(&mut self, pod: &Pod) {
        const MESSAGE: &str = "Pod was active on the node longer than the specified deadline";
        self.events(pod).pod(Normal, "DeadlineExceeded", MESSAGE);
        self.known.record.failed = Some(("DeadlineExceeded".to_owned(), MESSAGE.to_owned()));
    }

    fn events<'p>(&'p self, pod: &'p Pod) -> PodEvents<'p> {
        PodEvents { recorder: &self.context.recorder, pod }
    }

    async fn run_sandbox(&mut self, pod: &Pod) -> Result<(), Unanswered> {
        let old = self.known.record.sandbox.clone();
        let attempt = old.as_ref().map_or(0, |sandbox| sandbox.attempt + 1);
        if let Some(old) = old {
            self.events(pod).pod(Normal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
            let stopped = self.context.runtime.stop_pod_sandbox(&old.id).await;
            stopped.map_err(|error| self.unanswered(&error))?;
            self.slot.inbox.lock().all_dirty = true;
        }
        let (context, config) = (self.context, self.sandbox_config(pod, attempt).await?);
        if !config.log_directory.is_empty() {
            let made = volume::make_folder((&config.log_directory).into()).await;
            made.map_err(|error| self.unanswered(&error))?;
        }
        match self.while_reporting(run_sandbox(context, config)).await? {
            Ok(status) => {
                let id = status.sandbox.id;
                self.remember(&id);
                self.known.record.see_sandbox(SandboxView { id, attempt, ready: true, ips: status.ips });
                Ok(())
            }
            Err(error) => {
                Box::pin(self.tell_of_no_sandbox(pod, &error)).await;
                Err(self.unanswered(&error))
            }
        }
    }

    /// Tells why there is no sandbox. Of a runtime that does not answer the node's condition tells.
    async fn tell_of_no_sandbox(&self, pod: &Pod, error: &RuntimeError) {
        if matches!(error, RuntimeError::Unavailable(_)) {
            return;
        }
        let lack = match self.context.runtime.status().await {
            Ok(status) if pod.spec.as_ref().and_then(|spec| spec.host_network) != Some(true) => {
                lack_of_network(&status)
            }
            _ => None,
        };
        match lack {
            Some(lack) => self.events(pod).pod(Warning, "NetworkNotReady", format!("network is not ready: {lack}")),
            None => {
                let message = format!("Failed to create pod sandbox: {error}");
                self.events(pod).pod(Warning, "FailedCreatePodSandBox", message);
            }
        }
    }

    async fn sandbox_config(&self, pod: &Pod, attempt: u32) -> Result<SandboxConfig, Unanswered> {
        let node = &self.context.config;
        let handler = Box::pin(runtime_class::handler(&self.context.client, pod)).await.map_err(|error| {
            let message = format!("Failed to create pod sandbox: {error}");
            self.events(pod).pod(Warning, "FailedCreatePodSandBox", message);
            self.unanswered(&error)
        })?;
        let cgroup = self.context.cgroups.as_ref().map(|cgroups| cgroups.parent(pod)).transpose();
        let cgroup = cgroup.map_err(|error| self.unanswered(&error))?.unwrap_or_default();
        let made = node.dns().map_err(|error| ConfigError(format!("failed to read the node's resolv.conf: {error}")));
        let (config, warnings) =
            made.and_then(|dns| sandbox_config(pod, attempt, node, &dns, handler, cgroup)).map_err(|error| {
                let message = format!("Failed to generate sandbox config for pod: {error}");
                self.events(pod).pod(Warning, "FailedCreatePodSandBox", message);
                self.unanswered(&error)
            })?;
        for (reason, message) in warnings {
            self.events(pod).pod(Warning, reason, message);
        }
        Ok(config)
    }

    fn remember(&self, sandbox: &SandboxId) {
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default().into();
        self.context.sandboxes.lock().insert(sandbox.clone(), uid);
    }

    /// The pod's addresses.
    fn pod_ips(&self) -> Vec<IpAddr> {
        if self.pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
            return vec![self.context.config.address];
        }
        self.known.record.sandbox.as_ref().map(|sandbox| sandbox.ips.clone()).unwrap_or_default()
    }

    /// Where the pod is reached from its node.
    fn address(&self) -> Address {
        Address(self.pod_ips().first().copied())
    }

    fn api(&self) -> Api<Pod> {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or("default");
        Api::namespaced(self.context.client.clone(), namespace)
    }
}
