//! How containers come up, and what is told while they do not.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use orchestra_core::{
    container_runtime::{ContainerId, ContainerState},
    event_recorder::EventType::{Normal, Warning},
    go_duration,
};
use tokio::sync::watch;

use super::{Unanswered, Work};
use crate::kubelet::{
    container::full_name,
    events::PodEvents,
    hook::Hooked,
    launch::{LaunchError, Place, launch},
    pod::{
        self,
        ephemeral::target,
        record::Instance,
        restart::restarts,
        step::{HoldOff, grace},
    },
};

/// When to try again to make a container of a spec that refers to what is not there: about as often as Kubernetes does.
const CONFIG_RETRY: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// Starts a container, and has it do what it is to do after that.
    pub(super) async fn launch(&mut self, pod: &Pod, container: &Container) -> Result<(), Unanswered> {
        let now = self.context.clock.now();
        let Some(sandbox) = self.known.record.sandbox.as_ref().map(|sandbox| sandbox.id.clone()) else {
            return Ok(());
        };
        let (ips, address) = (self.pod_ips(), self.address());
        let target = target(pod, container).map(|name| self.known.record.container(name)?.running());
        let target = target.map(|running| running.map(|instance| instance.id.clone()));
        let known = self.known.record.containers.entry(container.name.clone()).or_default();
        // One that was created and not started, by a kubelet that was killed in between, is started now.
        let attempt_after = |last: &Instance| last.attempt + u32::from(last.state != ContainerState::Created);
        let attempt = known.current.as_ref().map_or(0, attempt_after);
        known.not_before = None;
        let image = pod::image(container).0;
        if known.is_about_another(&image) {
            (known.crashes, known.pulls, known.failed_pull) = Default::default();
        } else if known.current.is_some() && known.failed_pull.is_none() {
            known.crashes.grow(now);
        }
        let context = self.context;
        let volumes = self.known.volumes.as_ref().map(|volumes| volumes.places()).unwrap_or_default();
        let (place, ending) = (Place { sandbox: &sandbox, ips: &ips, target, volumes }, self.grace.subscribe());
        let starting = async {
            let status = launch(context, pod, container, place, attempt).await?;
            let id = status.container.id.clone();
            let hooked = Hooked { context, pod, container, id: &id, address: &address };
            post_start(hooked, ending).await.map_or(Ok(status), |message| Err(LaunchError::Hook(id.clone(), message)))
        };
        let result = self.while_reporting(starting).await?;
        let now = self.context.clock.now();
        let known = self.known.record.containers.entry(container.name.clone()).or_default();
        if !matches!(result, Err(LaunchError::Unavailable)) {
            known.again = None;
            known.failed_image = result.is_err().then(|| image.into());
        }
        match result {
            Ok(status) => self.see(container, status.into()),
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
            Err(LaunchError::Start(status, message)) => {
                self.see(container, (*status).into());
                self.wait_if_restarted(pod, container, "RunContainerError", message);
            }
            Err(LaunchError::Hook(id, message)) => return self.hook_failed(pod, container, id, message).await,
            Err(LaunchError::Unavailable) => return Err(self.unanswered(&"the container runtime does not answer")),
        }
        Ok(())
    }

    /// Kills a container whose postStart hook failed. It is restarted as if it had crashed.
    async fn hook_failed(
        &mut self,
        pod: &Pod,
        container: &Container,
        id: ContainerId,
        message: String,
    ) -> Result<(), Unanswered> {
        let events = self.events(pod);
        // Not the message: it may hold what the server answered, which is not for all eyes.
        events.container(container, Warning, "FailedPostStartHook", "PostStartHook failed");
        events.container(container, Normal, "Killing", "FailedPostStartHook");
        let runtime = &self.context.runtime;
        let status = runtime.container_status(&id).await.map_err(|error| self.unanswered(&error))?;
        self.see(container, status.into());
        self.halt(pod, &[container], grace(pod)).await?;
        self.wait_if_restarted(pod, container, "PostStartHookError", message);
        Ok(())
    }

    /// Tells why a container that ended waits for its restart. One that is not restarted does not wait: it has ended.
    fn wait_if_restarted(&mut self, pod: &Pod, container: &Container, reason: &'static str, message: String) {
        if let Some(known) = self.known.record.containers.get_mut(&container.name) {
            let restarts = known.exit().is_some_and(|code| restarts(pod, container, code));
            known.waiting = restarts.then_some((reason, message));
        }
    }

    /// Takes in a newer container.
    fn see(&mut self, container: &Container, instance: Instance) {
        self.known.record.see(&container.name, instance);
        if let Some(known) = self.known.record.containers.get_mut(&container.name) {
            (known.waiting, known.failed_pull) = (None, None);
        }
    }

    /// Tells that a container is held off.
    pub(super) fn hold_off(&mut self, pod: &Pod, container: &Container, until: Timestamp, why: HoldOff) {
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
}

/// Runs a container's postStart hook, and says why it failed. It is given up when the pod is to end.
async fn post_start(hooked: Hooked<'_>, mut ending: watch::Receiver<Option<Duration>>) -> Option<String> {
    let hook = hooked.container.lifecycle.as_ref()?.post_start.as_ref()?;
    tokio::select! {
        biased;
        done = hooked.run(hook) => done.err(),
        _ = ending.wait_for(Option::is_some) => None,
    }
}
