use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use orchestra_core::{
    clock::Clock,
    container_runtime::{
        Cidr, Container, ContainerConfig, ContainerEvent, ContainerFilter, ContainerId, ContainerResources,
        ContainerRuntime, ContainerState, ContainerStats, ContainerStatus, ExecOutput, Image, ImageSpec, LogLine,
        LogOptions, PortConnection, ProcessStreams, RegistryAuth, RuntimeError, RuntimeStatus, RuntimeStream,
        RuntimeVersion, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus, StreamOptions,
    },
};
use tokio::time::Instant;

use super::{
    MemoryRuntime,
    state::{KILLED, after, image_ref},
    streams::process,
    timer::Timer,
};

/// How many events a listener may lag behind.
const LISTENER_CAPACITY: usize = 10_000;

impl MemoryRuntime {
    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.lock().now()
    }

    /// The number of a container that exists.
    pub(super) fn container(&self, id: &ContainerId) -> Result<u64, RuntimeError> {
        self.shared.state.lock().container(id).ok_or_else(|| RuntimeError::no_container(&*id.0))
    }

    pub(super) fn sandbox(&self, id: &SandboxId) -> Option<u64> {
        self.shared.state.lock().sandbox(id)
    }

    fn is_running(&self, container: u64) -> bool {
        let state = self.shared.state.lock();
        state.containers.get(&container).is_some_and(|record| record.state == ContainerState::Running)
    }

    pub(super) async fn ended(&self, container: u64) {
        loop {
            let mut ended = pin!(self.shared.ended.notified());
            // Registered before looking, so that an end in between is not missed.
            ended.as_mut().enable();
            if !self.is_running(container) {
                return;
            }
            ended.await;
        }
    }
}

#[async_trait]
impl ContainerRuntime for MemoryRuntime {
    fn use_clock(&self, clock: Arc<dyn Clock>) {
        *self.shared.clock.lock() = clock;
    }

    fn use_pod_cidr(&self, cidr: Cidr) {
        self.shared.state.lock().use_pod_cidr(cidr);
    }

    async fn version(&self) -> Result<RuntimeVersion, RuntimeError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(RuntimeVersion { name: "memory".to_owned(), version, api_version: "v1".to_owned() })
    }

    async fn status(&self) -> Result<RuntimeStatus, RuntimeError> {
        Ok(RuntimeStatus::ready())
    }

    async fn run_pod_sandbox(&self, config: SandboxConfig) -> Result<SandboxId, RuntimeError> {
        let time = *self.shared.sandbox_time.lock();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        let created_at = self.now();
        let mut state = self.shared.state.lock();
        let id = state.add_sandbox(&config, created_at)?;
        self.shared.made.sandbox(&config);
        Ok(state.sandbox_id(id))
    }

    async fn stop_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        if let Some(sandbox) = self.sandbox(id) {
            self.shared.state.lock().stop_sandbox(sandbox, self.now());
            self.shared.ended.notify_waiters();
        }
        Ok(())
    }

    async fn remove_pod_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        if let Some(sandbox) = self.sandbox(id) {
            let now = self.now();
            self.shared.state.lock().remove_sandbox(sandbox, now);
            self.shared.ended.notify_waiters();
        }
        Ok(())
    }

    async fn pod_sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus, RuntimeError> {
        let sandbox = self.sandbox(id);
        let status = sandbox.and_then(|sandbox| self.shared.state.lock().sandbox_status(sandbox));
        status.ok_or_else(|| RuntimeError::no_sandbox(&*id.0))
    }

    async fn list_pod_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        let state = self.shared.state.lock();
        let all = state.sandboxes.keys().filter_map(|id| state.sandbox_status(*id)).map(|status| status.sandbox);
        Ok(all.filter(|sandbox| filter.matches(sandbox)).collect())
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let number = self.sandbox(sandbox).ok_or_else(|| RuntimeError::no_sandbox(&*sandbox.0))?;
        let (script, now) = (self.script_of_container(&config), self.now());
        self.shared.made.container(&config);
        let mut state = self.shared.state.lock();
        let id = state.add_container(number, config, script, now)?;
        Ok(state.container_id(id, number))
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let container = self.container(id)?;
        let delay = self.shared.state.lock().containers.get(&container).map(|record| record.script.start_time);
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            tokio::time::sleep(delay).await;
        }
        let now = self.now();
        self.shared.state.lock().start(container, now, Instant::now())?;
        Timer::wake(&self.shared);
        Ok(())
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let Ok(container) = self.container(id) else { return Ok(()) };
        let now = self.now();
        {
            let mut state = self.shared.state.lock();
            let Some(record) = state.containers.get(&container) else { return Ok(()) };
            if record.state != ContainerState::Running {
                state.exit(container, KILLED, now);
                return Ok(());
            }
            let stop_time = record.script.stop_time;
            let (delay, code) = if stop_time <= grace { (stop_time, 0) } else { (grace, KILLED) };
            if delay.is_zero() {
                state.exit(container, code, now);
            } else {
                state.schedule_exit(container, after(Instant::now(), delay), code);
            }
        }
        self.shared.ended.notify_waiters();
        Timer::wake(&self.shared);
        self.ended(container).await;
        Ok(())
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if let Ok(container) = self.container(id) {
            let now = self.now();
            self.shared.state.lock().remove_container(container, now);
            self.shared.ended.notify_waiters();
        }
        Ok(())
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        let container = self.container(id)?;
        let status = self.shared.state.lock().container_status(container);
        status.ok_or_else(|| RuntimeError::no_container(&*id.0))
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        let state = self.shared.state.lock();
        let all = state.containers.keys().filter_map(|id| state.container_status(*id)).map(|status| status.container);
        Ok(all.filter(|container| filter.matches(container)).collect())
    }

    async fn pull_image(&self, image: &ImageSpec, _auth: Option<RegistryAuth>) -> Result<String, RuntimeError> {
        let script = self.script(&image.0);
        if !script.pull_time.is_zero() {
            tokio::time::sleep(script.pull_time).await;
        }
        if let Some(reason) = &script.failing_pull {
            return Err(RuntimeError::ImagePull { reason: reason.clone() });
        }
        self.shared.state.lock().images.insert(image.0.as_str().into(), script);
        Ok(image_ref(&image.0))
    }

    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>, RuntimeError> {
        Ok(self.shared.state.lock().image(&image.0))
    }

    async fn list_images(&self) -> Result<Vec<Image>, RuntimeError> {
        let state = self.shared.state.lock();
        Ok(state.images.keys().filter_map(|name| state.image(name)).collect())
    }

    async fn remove_image(&self, image: &ImageSpec) -> Result<(), RuntimeError> {
        let mut state = self.shared.state.lock();
        // By a name or by its id, as CRI's runtimes.
        let is_it = |name: &str| name == image.0 || state.image(name).is_some_and(|known| known.id == image.0);
        let names: Vec<_> = state.images.keys().filter(|name| is_it(name)).cloned().collect();
        names.iter().for_each(|name| drop(state.images.remove(name)));
        Ok(())
    }

    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, RuntimeError> {
        let scripted = self.scripted(id, &command)?;
        let late = timeout.filter(|timeout| *timeout < scripted.time);
        self.pass(id, late.unwrap_or(scripted.time)).await?;
        match late {
            Some(timeout) => Err(RuntimeError::DeadlineExceeded(format!("command did not end in {timeout:?}"))),
            None => Ok(scripted.output),
        }
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        streams: StreamOptions,
    ) -> Result<ProcessStreams, RuntimeError> {
        let scripted = self.scripted(id, &command)?;
        self.pass(id, scripted.time).await?;
        Ok(process(scripted, streams))
    }

    async fn attach(&self, id: &ContainerId, streams: StreamOptions) -> Result<ProcessStreams, RuntimeError> {
        self.attachment(id, streams)
    }

    async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<Pin<Box<dyn PortConnection>>, RuntimeError> {
        self.connection(id, port).await
    }

    async fn dial(&self, address: IpAddr, port: u16) -> Option<Result<Pin<Box<dyn PortConnection>>, RuntimeError>> {
        let sandbox = self.shared.state.lock().sandbox_at(address)?;
        let failed = |error: io::Error| {
            RuntimeError::Failed(format!("dial tcp {}: connect: {error}", SocketAddr::new(address, port)))
        };
        Some(match sandbox {
            Some(sandbox) => self.open(sandbox, port).await.map_err(failed),
            None => Err(failed(io::Error::other("no route to host"))),
        })
    }

    async fn update_container_resources(
        &self,
        id: &ContainerId,
        resources: ContainerResources,
    ) -> Result<(), RuntimeError> {
        let container = self.container(id)?;
        let state = self.shared.state.lock();
        let status = state.container_status(container).ok_or_else(|| RuntimeError::no_container(&*id.0))?;
        if status.container.state == ContainerState::Exited {
            return Err(RuntimeError::FailedPrecondition("container has ended".to_owned()));
        }
        // Containers that are not real have no limits; who asks is told what they are to be.
        self.shared.made.change(&status.container, resources);
        Ok(())
    }

    async fn logs(&self, id: &ContainerId, options: LogOptions) -> Result<RuntimeStream<LogLine>, RuntimeError> {
        self.read_log(id, &options)
    }

    async fn container_stats(&self, filter: ContainerFilter) -> Result<Vec<ContainerStats>, RuntimeError> {
        let now = self.now();
        let state = self.shared.state.lock();
        let all = state.containers.keys().filter_map(|id| Some((state.container_status(*id)?, state.stats(*id, now)?)));
        Ok(all.filter(|(status, _)| filter.matches(&status.container)).map(|(_, stats)| stats).collect())
    }

    async fn events(&self) -> Result<RuntimeStream<ContainerEvent>, RuntimeError> {
        let receiver = self.shared.state.lock().listen(LISTENER_CAPACITY);
        let events = stream::unfold(receiver, |mut receiver| async {
            let event = receiver.recv().await?;
            Some((Ok(event), receiver))
        });
        // The runtime lets go of a listener only if it lags too far behind.
        let lagged = stream::iter([Err(RuntimeError::Unavailable("the listener does not keep up".to_owned()))]);
        Ok(events.chain(lagged).boxed())
    }
}
