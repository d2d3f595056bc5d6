//! What each volume of a pod is to be.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, Pod, SecretVolumeSource, Volume};
use orchestra_core::quantity::Quantity;

use super::{
    VolumeError, claim,
    empty_dir::{self, Medium},
    payload::{self, Payload, Projection},
    projected,
    token::Tokens,
    unsupported,
};
use crate::kubelet::{Context, container::Missing};

/// The permissions of files unless told otherwise.
pub(super) const DEFAULT_MODE: i32 = 0o644;

/// What a volume is to be.
#[derive(Clone, Debug, Hash)]
pub(super) enum Plan {
    /// A folder of the pod.
    Empty(Medium),
    /// A folder, file or device of the node; the persistent volume of this name, if it is one.
    Host { path: PathBuf, kind: String, read_only: bool, name: Option<String> },
    /// A folder of the node that was made for the persistent volume of this name.
    Local { path: PathBuf, read_only: bool, name: String },
    /// Files that the kubelet writes.
    Files { plugin: &'static str, payload: Payload, in_memory: bool },
}

impl Plan {
    /// A number that is another when the plan is.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether containers can only read it.
    pub(super) fn is_read_only(&self) -> bool {
        match self {
            Self::Empty(_) => false,
            Self::Host { read_only, .. } | Self::Local { read_only, .. } => *read_only,
            Self::Files { .. } => true,
        }
    }
}

/// The pod that volumes are for, and what helps to find what is in them.
pub(super) struct Subject<'a> {
    pub(super) context: &'a Context,
    pub(super) pod: &'a Pod,
    pub(super) uid: &'a str,
    pub(super) namespace: &'a str,
}

impl Subject<'_> {
    /// What a volume is to be now.
    pub(super) async fn plan(&self, volume: &Volume, tokens: &mut Tokens) -> Result<Plan, VolumeError> {
        let capacity = &self.context.config.capacity;
        if let Some(source) = &volume.empty_dir {
            let memory = capacity.get("memory").and_then(|amount| amount.parse::<Quantity>().ok()).unwrap_or_default();
            return empty_dir::medium(source, self.pod, memory.value()).map(Plan::Empty);
        }
        if let Some(source) = &volume.host_path {
            let kind = source.type_.clone().unwrap_or_default();
            return Ok(Plan::Host { path: source.path.clone().into(), kind, read_only: false, name: None });
        }
        let (plugin, payload, in_memory) = if let Some(source) = &volume.config_map {
            ("configmap", self.config_map(source).await?, false)
        } else if let Some(source) = &volume.secret {
            ("secret", self.secret(source).await?, true)
        } else if let Some(source) = &volume.downward_api {
            let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
            let files = source.items.as_deref().unwrap_or_default();
            ("downward-api", payload::of_pod(files, self.pod, capacity, mode)?, true)
        } else if let Some(source) = &volume.projected {
            ("projected", projected::payload(self, &volume.name, source, tokens).await?, true)
        } else if let Some(source) = &volume.persistent_volume_claim {
            return claim::plan(self, &volume.name, &source.claim_name, source.read_only == Some(true)).await;
        } else if volume.ephemeral.is_some() {
            // The claim that a controller makes for it.
            let claim = format!("{}-{}", self.pod.metadata.name.as_deref().unwrap_or_default(), volume.name);
            return claim::plan(self, &volume.name, &claim, false).await;
        } else {
            let kind = unsupported::kind(volume);
            return Err(VolumeError::new(format!("volumes of type {kind} are not supported by this kubelet")));
        };
        payload::check(&payload)?;
        Ok(Plan::Files { plugin, payload, in_memory })
    }

    async fn config_map(&self, source: &ConfigMapVolumeSource) -> Result<Payload, VolumeError> {
        let optional = source.optional == Some(true);
        let found = self.context.config_maps.get(self.uid, self.namespace, &source.name).await;
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let projection = Projection { items: source.items.as_deref().unwrap_or_default(), mode, optional };
        if_there(found, optional)?.map_or_else(|| Ok(Payload::new()), |map| projection.of_config_map(&map))
    }

    async fn secret(&self, source: &SecretVolumeSource) -> Result<Payload, VolumeError> {
        let optional = source.optional == Some(true);
        let name = source.secret_name.as_deref().unwrap_or_default();
        let found = self.context.secrets.get(self.uid, self.namespace, name).await;
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let projection = Projection { items: source.items.as_deref().unwrap_or_default(), mode, optional };
        if_there(found, optional)?.map_or_else(|| Ok(Payload::new()), |secret| projection.of_secret(&secret))
    }
}

/// What was found; nothing if it may be missing and is.
pub(super) fn if_there<T>(found: Result<T, Missing>, optional: bool) -> Result<Option<T>, VolumeError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(missing) if missing.not_found && optional => Ok(None),
        Err(missing) => Err(VolumeError::new(missing.message)),
    }
}
