//! Takes a pod as far as it can go now: does what the state machine says, and reports.

mod report;
mod stop;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Node, Pod};
use kube::{Api, ResourceExt};
use orchestra_core::{
    container_runtime::{ContainerId, ContainerState, RuntimeError, SandboxConfig, SandboxId},
    event_recorder::EventType::{Normal, Warning},
};
use tracing::warn;

use super::{
    Context, admission,
    container::{ConfigError, full_name, sandbox_config},
    events::{PodEvents, go_duration},
    launch::{LaunchError, Place, launch, run_sandbox},
    pod::{
        self,
        record::{Instance, SandboxView},
        step::{HoldOff, Step, next_step},
    },
    slot::{Known, Slot},
};

/// When to try again to make a container of a spec that refers to what is not there: about as often as Kubernetes does.
const CONFIG_RETRY: Duration = Duration::from_secs(10);

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
    let pod = Arc::clone(&slot.inbox.lock().pod);
    let mut work = Work { context, slot, pod, known };
    let outcome = work.run().await.unwrap_or(Outcome::Retry);
    *slot.known.lock() = Some(work.known);
    outcome
}

struct Work<'a> {
    context: &'a Context,
    slot: &'a Slot,
    pod: Arc<Pod>,
    known: Box<Known>,
}

impl Work<'_> {
    async fn run(&mut self) -> Result<Outcome, Unanswered> {
        loop {
            self.look().await?;
            self.admit().await?;
            let pod = Arc::clone(&self.pod);
            match next_step(&pod, &self.known.record, self.context.clock.now()) {
                Step::RunSandbox => self.run_sandbox(&pod).await?,
                Step::Launch(container) => self.launch(&pod, container).await?,
                Step::HoldOff { container, until, why } => self.hold_off(&pod, container, until, why),
                Step::Replace { container, grace } => self.replace(&pod, container, grace).await?,
                Step::Stop { containers, grace } => self.stop(&pod, &containers, grace).await?,
                Step::StopSandbox => self.stop_sandbox().await?,
                Step::Finish => return self.finish(&pod).await,
                Step::Wait(until) => {
                    self.report().await?;
                    return Ok(until.map_or(Outcome::Idle, Outcome::At));
                }
            }
        }
    }

    /// Takes in what came since the last look.
    async fn look(&mut self) -> Result<(), Unanswered> {
        let (dirty, all) = {
            let mut inbox = self.slot.inbox.lock();
            self.pod = Arc::clone(&inbox.pod);
            self.known.record.gone |= inbox.gone;
            if let Some(rejected) = inbox.rejected.take() {
                self.known.record.rejected = Some(rejected);
            }
            (std::mem::take(&mut inbox.dirty), std::mem::take(&mut inbox.all_dirty))
        };
        if self.known.written.as_ref().is_some_and(|(version, _)| report::version(&self.pod.metadata) >= *version) {
            self.known.written = None;
        }
        let mut ids = dirty;
        if all {
            let current = self.known.record.containers.values().filter_map(|known| known.current.as_ref());
            ids.extend(current.map(|instance| instance.id.clone()));
        }
        self.refresh(ids).await
    }

    async fn refresh(&mut self, ids: BTreeSet<ContainerId>) -> Result<(), Unanswered> {
        for id in ids {
            let Some(name) = self.known.record.name_of(&id).map(str::to_owned) else { continue };
            let status = self.context.runtime.container_status(&id).await;
            let Some(known) = self.known.record.containers.get_mut(&name) else { continue };
            match status {
                Ok(status) => drop(known.see(status.into())),
                Err(error) if error.is_not_found() => {
                    if let Some(current) = known.current.as_mut().filter(|instance| instance.exit().is_none()) {
                        current.state = ContainerState::Unknown;
                        current.finished_at = Some(self.context.clock.now());
                        "ContainerStatusUnknown".clone_into(&mut current.reason);
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
                Err(error) => return Err(self.unanswered(&error)),
            };
            if let Some((reason, message)) = admission::mismatch(&self.pod, &labels) {
                self.events(&self.pod).pod(Warning, &reason, message.clone());
                self.known.record.rejected = Some((reason, format!("Pod was rejected: {message}")));
            }
        }
        self.known.admitted = true;
        Ok(())
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
        let (context, config) = (self.context, self.sandbox_config(pod, attempt)?);
        match self.while_reporting(run_sandbox(context, config)).await? {
            Ok(status) => {
                let id = status.sandbox.id;
                self.remember(&id);
                self.known.record.sandbox = Some(SandboxView { id, attempt, ready: true, ips: status.ips });
                Ok(())
            }
            Err(error) => {
                if !matches!(error, RuntimeError::Unavailable(_)) {
                    let message = format!("Failed to create pod sandbox: {error}");
                    self.events(pod).pod(Warning, "FailedCreatePodSandBox", message);
                }
                Err(self.unanswered(&error))
            }
        }
    }

    fn sandbox_config(&self, pod: &Pod, attempt: u32) -> Result<SandboxConfig, Unanswered> {
        let node = &self.context.config;
        let made = node.dns().map_err(|error| ConfigError(format!("failed to read the node's resolv.conf: {error}")));
        let (config, warnings) = made.and_then(|dns| sandbox_config(pod, attempt, node, &dns)).map_err(|error| {
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

    async fn launch(&mut self, pod: &Pod, container: &Container) -> Result<(), Unanswered> {
        let now = self.context.clock.now();
        let Some(sandbox) = self.known.record.sandbox.clone() else { return Ok(()) };
        let known = self.known.record.containers.entry(container.name.clone()).or_default();
        let attempt = known.current.as_ref().map_or(0, |instance| instance.attempt + 1);
        known.not_before = None;
        let image = pod::image(container).0;
        if known.is_about_another(&image) {
            (known.crashes, known.pulls, known.failed_pull) = Default::default();
        } else if known.current.is_some() && known.failed_pull.is_none() {
            known.crashes.grow(now);
        }
        let context = self.context;
        let of_node = [context.config.address];
        let ips = if uses_node_network(pod) { &of_node } else { sandbox.ips.as_slice() };
        let place = Place { sandbox: &sandbox.id, ips };
        let result = self.while_reporting(launch(context, pod, container, place, attempt)).await?;
        let now = self.context.clock.now();
        let known = self.known.record.containers.entry(container.name.clone()).or_default();
        if !matches!(result, Err(LaunchError::Unavailable)) {
            known.replaced = false;
            known.failed_image = result.is_err().then(|| image.into());
        }
        match result {
            Ok(status) => {
                known.waiting = None;
                known.failed_pull = None;
                if let Some(old) = known.see(Instance::from(status)) {
                    let removed = self.context.runtime.remove_container(&old.id).await;
                    removed.map_err(|error| self.unanswered(&error))?;
                }
            }
            Err(LaunchError::Image(reason, message)) => {
                known.pulls.grow(now);
                known.not_before = now.checked_add(known.pulls.delay(now)).ok();
                known.failed_pull = (reason == "ErrImagePull").then(|| message.clone());
                known.waiting = Some((reason, message));
            }
            Err(LaunchError::Config(message)) => {
                known.not_before = now.checked_add(CONFIG_RETRY).ok();
                known.waiting = Some(("CreateContainerConfigError", message));
            }
            Err(LaunchError::Container(reason, message)) => {
                known.crashes.grow(now);
                known.not_before = now.checked_add(known.crashes.delay(now)).ok();
                known.waiting = Some((reason, message));
            }
            Err(LaunchError::Unavailable) => return Err(self.unanswered(&"the container runtime does not answer")),
        }
        Ok(())
    }

    fn hold_off(&mut self, pod: &Pod, container: &Container, until: Timestamp, why: HoldOff) {
        let (name, pod_name) = (&container.name, full_name(pod));
        let image = container.image.as_deref().unwrap_or_default();
        let known = self.known.record.containers.entry(name.clone()).or_default();
        known.not_before = Some(until);
        let events = PodEvents { recorder: &self.context.recorder, pod };
        match why {
            HoldOff::Crashed(delay) => {
                let message = format!("Back-off restarting failed container {name} in pod {pod_name}");
                events.container(container, Warning, "BackOff", message);
                let message =
                    format!("back-off {} restarting failed container={name} pod={pod_name}", go_duration(delay));
                known.waiting = Some(("CrashLoopBackOff", message));
            }
            HoldOff::ImagePull => {
                let cause = known.failed_pull.take().unwrap_or_default();
                let message = format!("Back-off pulling image {image:?}");
                events.container(container, Normal, "BackOff", message.clone());
                events.container(container, Warning, "Failed", "Error: ImagePullBackOff");
                known.waiting = Some(("ImagePullBackOff", format!("{message}: ErrImagePull: {cause}")));
            }
        }
    }

    fn api(&self) -> Api<Pod> {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or("default");
        Api::namespaced(self.context.client.clone(), namespace)
    }
}

fn uses_node_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}
