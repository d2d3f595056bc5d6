//! The configurations of sandboxes. CRI wants a sandbox's configuration again whenever a container is made in it, so they are kept; those of
//! sandboxes that were made before this process are asked for, as containerd tells them.

use std::collections::{BTreeMap, HashMap};

use k8s_cri::v1;
use orchestra_core::container_runtime::{RuntimeError, SandboxId};
use parking_lot::Mutex;
use serde::Deserialize;

use super::CriRuntime;

#[derive(Default)]
pub(super) struct SandboxConfigs {
    by_id: Mutex<HashMap<String, v1::PodSandboxConfig>>,
}

impl SandboxConfigs {
    pub(super) fn remember(&self, id: &str, config: v1::PodSandboxConfig) {
        self.by_id.lock().insert(id.to_owned(), config);
    }

    pub(super) fn forget(&self, id: &str) {
        self.by_id.lock().remove(id);
    }

    fn get(&self, id: &str) -> Option<v1::PodSandboxConfig> {
        self.by_id.lock().get(id).cloned()
    }
}

impl CriRuntime {
    pub(super) async fn sandbox_config(&self, id: &SandboxId) -> Result<v1::PodSandboxConfig, RuntimeError> {
        if let Some(config) = self.shared.sandbox_configs.get(&id.0) {
            return Ok(config);
        }
        let answer = self.sandbox_details(id, true).await?;
        let status = answer.status.ok_or_else(|| RuntimeError::no_sandbox(&*id.0))?;
        let told = answer.info.get("info").and_then(|info| serde_json::from_str::<Info>(info).ok());
        let config = config(status, told.unwrap_or_default().config);
        self.shared.sandbox_configs.remember(&id.0, config.clone());
        Ok(config)
    }
}

/// A runtime that does not tell the configuration does not want it again either, beside what the status has.
fn config(status: v1::PodSandboxStatus, told: ConfigInfo) -> v1::PodSandboxConfig {
    let namespaces = status.linux.and_then(|linux| linux.namespaces).and_then(|namespaces| namespaces.options);
    let security = v1::LinuxSandboxSecurityContext {
        namespace_options: namespaces,
        privileged: told.linux.security_context.privileged,
        ..Default::default()
    };
    v1::PodSandboxConfig {
        metadata: status.metadata,
        hostname: told.hostname,
        log_directory: told.log_directory,
        labels: status.labels,
        annotations: status.annotations,
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: told.linux.cgroup_parent,
            sysctls: told.linux.sysctls.into_iter().collect(),
            security_context: Some(security),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What containerd tells of a sandbox, as far as it is wanted again.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    config: ConfigInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigInfo {
    hostname: String,
    log_directory: String,
    linux: LinuxInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LinuxInfo {
    cgroup_parent: String,
    sysctls: BTreeMap<String, String>,
    security_context: SecurityInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SecurityInfo {
    privileged: bool,
}
