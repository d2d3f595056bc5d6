//! The runtime as a whole.

use k8s_cri::v1;
use orchestra_core::container_runtime::{
    CgroupDriver, FilesystemUsage, RuntimeCondition, RuntimeError, RuntimeStatus, RuntimeVersion,
};
use tonic::Code;

use super::{CriRuntime, connection::within, error::Subject};

impl CriRuntime {
    pub(super) async fn runtime_version(&self) -> Result<RuntimeVersion, RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let call = client.version(v1::VersionRequest { version: String::new() });
        let answer = within(self.shared.options.deadline, call).await;
        let answer = answer.map_err(|status| Subject::Runtime("telling its version").error(&status))?;
        Ok(RuntimeVersion {
            name: answer.runtime_name,
            version: answer.runtime_version,
            api_version: answer.runtime_api_version,
        })
    }

    pub(super) async fn runtime_status(&self) -> Result<RuntimeStatus, RuntimeError> {
        // The network may wait for it.
        self.tell_pod_cidr().await?;
        let mut client = self.shared.connection.runtime();
        let call = client.status(v1::StatusRequest { verbose: false });
        let answer = within(self.shared.options.deadline, call).await;
        let answer = answer.map_err(|status| Subject::Runtime("telling its status").error(&status))?;
        let conditions = answer.status.unwrap_or_default().conditions;
        let condition = |name: &str| {
            let found = conditions.iter().find(|condition| condition.r#type == name);
            let found = found.map(|condition| RuntimeCondition {
                ready: condition.status,
                reason: condition.reason.clone(),
                message: condition.message.clone(),
            });
            found.unwrap_or_else(|| RuntimeCondition {
                message: format!("the runtime does not tell its {name}"),
                ..RuntimeCondition::default()
            })
        };
        Ok(RuntimeStatus { runtime: condition("RuntimeReady"), network: condition("NetworkReady") })
    }

    /// containerd says since 2.0.
    pub(super) async fn told_cgroup_driver(&self) -> Result<Option<CgroupDriver>, RuntimeError> {
        let mut client = self.shared.connection.runtime();
        let call = client.runtime_config(v1::RuntimeConfigRequest {});
        match within(self.shared.options.deadline, call).await {
            Ok(answer) => Ok(answer.linux.map(|linux| match linux.cgroup_driver() {
                v1::CgroupDriver::Systemd => CgroupDriver::Systemd,
                v1::CgroupDriver::Cgroupfs => CgroupDriver::Cgroupfs,
            })),
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(Subject::Runtime("telling how it makes cgroups").error(&status)),
        }
    }

    /// Tells the runtime of the node's addresses, unless it knows. One that has no use for them does not mind.
    pub(super) async fn tell_pod_cidr(&self) -> Result<(), RuntimeError> {
        let Some(cidr) = *self.shared.pod_cidr.lock() else { return Ok(()) };
        let network_config = Some(v1::NetworkConfig { pod_cidr: cidr.to_string() });
        let runtime_config = Some(v1::RuntimeConfig { network_config });
        let mut client = self.shared.connection.runtime();
        let call = client.update_runtime_config(v1::UpdateRuntimeConfigRequest { runtime_config });
        match within(self.shared.options.deadline, call).await {
            Err(status) if status.code() != Code::Unimplemented => {
                Err(Subject::Runtime("taking the range of pods' addresses").error(&status))
            }
            _ => {
                let mut untold = self.shared.pod_cidr.lock();
                if *untold == Some(cidr) {
                    *untold = None;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn usage_of_images(&self) -> Result<Vec<FilesystemUsage>, RuntimeError> {
        let mut client = self.shared.connection.images();
        let answer = within(self.shared.options.deadline, client.image_fs_info(v1::ImageFsInfoRequest {})).await;
        let answer = answer.map_err(|status| Subject::Runtime("usage of the images' file system").error(&status))?;
        let usage = answer.image_filesystems.into_iter().map(|usage| FilesystemUsage {
            mountpoint: usage.fs_id.unwrap_or_default().mountpoint,
            used_bytes: usage.used_bytes.unwrap_or_default().value,
            inodes_used: usage.inodes_used.unwrap_or_default().value,
        });
        Ok(usage.collect())
    }
}
