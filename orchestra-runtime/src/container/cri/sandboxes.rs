//! Sandboxes.

use k8s_cri::v1;
use orchestra_core::container_runtime::{
    ContainerFilter, RuntimeError, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxStatus,
};
use tonic::Code;

use super::{
    CriRuntime,
    connection::within,
    convert,
    error::{Subject, sandbox_error},
    log::files,
};

impl CriRuntime {
    pub(super) async fn run_sandbox(&self, config: SandboxConfig) -> Result<SandboxId, RuntimeError> {
        self.tell_pod_cidr().await?;
        let (name, runtime_handler) = (config.metadata.name.clone(), config.runtime_handler.clone());
        let config = convert::sandbox_config(config);
        let request = v1::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler };
        let mut client = self.shared.connection.runtime();
        let answer = within(self.shared.options.deadline * 2, client.run_pod_sandbox(request)).await;
        let id = answer.map_err(|status| sandbox_error(&status, &name))?.pod_sandbox_id;
        self.shared.sandbox_configs.remember(&id, config);
        Ok(SandboxId(id.into()))
    }

    pub(super) async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let request = v1::StopPodSandboxRequest { pod_sandbox_id: id.to_string() };
        let answer = within(self.shared.options.deadline * 2, client.stop_pod_sandbox(request)).await;
        match answer {
            Err(status) if status.code() != Code::NotFound => Err(Subject::Sandbox(&id.0).error(&status)),
            _ => Ok(()),
        }
    }

    /// Removes a sandbox, its containers, and their logs. CRI leaves the files to its clients.
    pub(super) async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let config = match self.sandbox_config(id).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        self.stop_sandbox(id).await?;
        let filter = ContainerFilter { sandbox: Some(id.clone()), ..ContainerFilter::default() };
        for container in self.containers(filter).await? {
            self.delete_container(&container.id).await?;
        }
        let mut client = self.shared.connection.runtime();
        let request = v1::RemovePodSandboxRequest { pod_sandbox_id: id.to_string() };
        let answer = within(self.shared.options.deadline, client.remove_pod_sandbox(request)).await;
        if let Err(status) = answer
            && status.code() != Code::NotFound
        {
            return Err(Subject::Sandbox(&id.0).error(&status));
        }
        self.shared.sandbox_configs.forget(&id.0);
        let directory = config.log_directory;
        if !directory.is_empty() {
            files::in_background(move || files::remove_empty(directory.as_ref())).await;
        }
        Ok(())
    }

    /// The runtime's answer; with `verbose` also with its own words.
    pub(super) async fn sandbox_details(
        &self,
        id: &SandboxId,
        verbose: bool,
    ) -> Result<v1::PodSandboxStatusResponse, RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.to_string(), verbose };
        let answer = within(self.shared.options.deadline, client.pod_sandbox_status(request)).await;
        answer.map_err(|status| Subject::Sandbox(&id.0).error(&status))
    }

    pub(super) async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus, RuntimeError> {
        let status = self.sandbox_details(id, false).await?.status;
        status.map(convert::sandbox_status).ok_or_else(|| RuntimeError::no_sandbox(&*id.0))
    }

    pub(super) async fn sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let request = v1::ListPodSandboxRequest { filter: Some(convert::sandbox_filter(filter)) };
        let answer = within(self.shared.options.deadline, client.list_pod_sandbox(request)).await;
        let answer = answer.map_err(|status| Subject::Runtime("listing sandboxes").error(&status))?;
        let mut sandboxes: Vec<Sandbox> = answer.items.into_iter().map(convert::sandbox).collect();
        sandboxes.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(sandboxes)
    }
}
