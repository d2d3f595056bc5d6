//! Containers.

use std::{path::PathBuf, time::Duration};

use k8s_cri::v1;
use orchestra_core::container_runtime::{
    Container, ContainerConfig, ContainerFilter, ContainerId, ContainerResources, ContainerStats, ContainerStatus,
    ExecOutput, RuntimeError, SandboxId, SandboxState,
};
use tonic::{Code, Status};

use super::{CriRuntime, connection::within, convert, error::Subject, log::files};

impl CriRuntime {
    pub(super) async fn add_container(
        &self,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let sandbox_config = self.sandbox_config(sandbox).await?;
        let (name, image) = (config.metadata.name.clone(), config.image.0.clone());
        if !sandbox_config.log_directory.is_empty() && !config.log_path.is_empty() {
            // Runtimes write into it, and leave it to their clients to make it.
            let log = PathBuf::from(&sandbox_config.log_directory).join(&config.log_path);
            let made = files::in_background(move || files::make_parent(&log)).await;
            made.map_err(|error| RuntimeError::Failed(format!("failed to create the folder of its log: {error}")))?;
        }
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_string(),
            config: Some(convert::container_config(config, &sandbox_config)),
            sandbox_config: Some(sandbox_config),
        };
        let mut client = self.shared.connection.runtime();
        match within(self.shared.options.deadline, client.create_container(request)).await {
            Ok(answer) => Ok(ContainerId(answer.container_id.into())),
            Err(status) => Err(self.creation_error(&status, sandbox, &name, &image).await),
        }
    }

    /// What it was that was not found, when a container was to be made, or not ready, which runtimes do not tell apart.
    async fn creation_error(&self, status: &Status, sandbox: &SandboxId, name: &str, image: &str) -> RuntimeError {
        match Subject::Container(name).error(status) {
            error @ (RuntimeError::NotFound { .. } | RuntimeError::Failed(_)) => {
                match self.sandbox_status(sandbox).await {
                    Err(error) if error.is_not_found() => error,
                    Ok(found) if found.sandbox.state == SandboxState::NotReady => {
                        RuntimeError::FailedPrecondition(status.message().to_owned())
                    }
                    _ if error.is_not_found() => RuntimeError::NotFound { kind: "image", id: image.to_owned() },
                    _ => error,
                }
            }
            error => error,
        }
    }

    pub(super) async fn run_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let request = v1::StartContainerRequest { container_id: id.to_string() };
        let answer = within(self.shared.options.deadline, client.start_container(request)).await;
        answer.map(drop).map_err(|status| Subject::Container(&id.0).error(&status))
    }

    pub(super) async fn end_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let timeout = whole_seconds(grace);
        let request = v1::StopContainerRequest { container_id: id.to_string(), timeout };
        let deadline = self.shared.options.deadline.saturating_add(grace);
        match within(deadline, client.stop_container(request)).await {
            Err(status) if status.code() != Code::NotFound => Err(Subject::Container(&id.0).error(&status)),
            _ => Ok(()),
        }
    }

    /// Removes a container and its log, which CRI leaves to its clients.
    pub(super) async fn delete_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let log = match self.container_details(id).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?.log_path,
        };
        let mut client = self.shared.connection.runtime();
        let request = v1::RemoveContainerRequest { container_id: id.to_string() };
        let answer = within(self.shared.options.deadline, client.remove_container(request)).await;
        if let Err(status) = answer
            && status.code() != Code::NotFound
        {
            return Err(Subject::Container(&id.0).error(&status));
        }
        if !log.is_empty() {
            files::in_background(move || files::remove_log(log.as_ref())).await;
        }
        Ok(())
    }

    pub(super) async fn container_details(&self, id: &ContainerId) -> Result<v1::ContainerStatus, RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let request = v1::ContainerStatusRequest { container_id: id.to_string(), verbose: false };
        let answer = within(self.shared.options.deadline, client.container_status(request)).await;
        let answer = answer.map_err(|status| Subject::Container(&id.0).error(&status))?;
        answer.status.ok_or_else(|| RuntimeError::no_container(&*id.0))
    }

    /// CRI's status does not tell the sandbox; its list does.
    pub(super) async fn full_status(&self, id: &ContainerId) -> Result<ContainerStatus, RuntimeError> {
        let filter = ContainerFilter { id: Some(id.clone()), ..ContainerFilter::default() };
        let (details, listed) = futures::join!(self.container_details(id), self.containers(filter));
        let (details, listed) = (details?, listed?);
        let container = listed.into_iter().find(|container| container.id == *id);
        container
            .map(|container| convert::container_status(container, details))
            .ok_or_else(|| RuntimeError::no_container(&*id.0))
    }

    pub(super) async fn containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let request = v1::ListContainersRequest { filter: Some(convert::container_filter(filter)) };
        let answer = within(self.shared.options.deadline, client.list_containers(request)).await;
        let answer = answer.map_err(|status| Subject::Runtime("listing containers").error(&status))?;
        let mut containers: Vec<Container> = answer.containers.into_iter().map(convert::container).collect();
        containers.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(containers)
    }

    pub(super) async fn run_command(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        timeout: Option<Duration>,
    ) -> Result<ExecOutput, RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let seconds = timeout.map_or(0, |timeout| whole_seconds(timeout).max(1));
        let request = v1::ExecSyncRequest { container_id: id.to_string(), cmd: command, timeout: seconds };
        let call = client.exec_sync(request);
        let answer = match timeout {
            // CRI's granularity is a second.
            Some(timeout) => within(timeout, call).await,
            None => call.await.map(tonic::Response::into_inner),
        };
        let answer = answer.map_err(|status| match Subject::Container(&id.0).error(&status) {
            RuntimeError::Failed(message) if timeout.is_some() && is_about_time(&message) => {
                RuntimeError::DeadlineExceeded(message)
            }
            error => error,
        })?;
        Ok(ExecOutput { stdout: answer.stdout, stderr: answer.stderr, exit_code: answer.exit_code })
    }

    pub(super) async fn change_resources(
        &self,
        id: &ContainerId,
        resources: ContainerResources,
    ) -> Result<(), RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let linux = Some(convert::resources(&resources));
        let container_id = id.to_string();
        let request = v1::UpdateContainerResourcesRequest { container_id, linux, ..Default::default() };
        let answer = within(self.shared.options.deadline, client.update_container_resources(request)).await;
        answer.map(drop).map_err(|status| Subject::Container(&id.0).error(&status))
    }

    pub(super) async fn begin_log_anew(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let request = v1::ReopenContainerLogRequest { container_id: id.to_string() };
        let answer = within(self.shared.options.deadline, client.reopen_container_log(request)).await;
        answer.map(drop).map_err(|status| Subject::Container(&id.0).error(&status))
    }

    pub(super) async fn stats(&self, filter: ContainerFilter) -> Result<Vec<ContainerStats>, RuntimeError> {
        let state = filter.state;
        let request = v1::ListContainerStatsRequest {
            filter: Some(v1::ContainerStatsFilter {
                id: filter.id.as_ref().map(ToString::to_string).unwrap_or_default(),
                pod_sandbox_id: filter.sandbox.as_ref().map(ToString::to_string).unwrap_or_default(),
                label_selector: filter.labels.clone().into_iter().collect(),
            }),
        };
        let mut client = self.shared.connection.runtime();
        let answer = within(self.shared.options.deadline, client.list_container_stats(request)).await;
        let answer = answer.map_err(|status| Subject::Runtime("container statistics").error(&status))?;
        let mut stats: Vec<ContainerStats> = answer.stats.into_iter().filter_map(convert::container_stats).collect();
        if state.is_some() {
            // CRI's filter has no state.
            let matching = self.containers(filter).await?;
            stats.retain(|stats| matching.iter().any(|container| container.id == stats.container));
        }
        Ok(stats)
    }
}

/// CRI counts in seconds; a part of one is one.
fn whole_seconds(time: Duration) -> i64 {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    // As a signed number of nanoseconds in Go, which would else overflow.
    i64::try_from(seconds).unwrap_or(i64::MAX).min(i64::MAX / 1_000_000_000)
}

/// How containerd words that a command took longer than it was allowed to.
fn is_about_time(message: &str) -> bool {
    message.contains("timeout") && message.contains("exceeded") || message.contains("context deadline exceeded")
}
