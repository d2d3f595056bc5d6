//! The ConfigMaps, Secrets and files that a container's environment refers to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{ConfigMap, Container, Secret};

use super::ConfigError;

/// Why an object is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubelet) struct Missing {
    pub(in crate::kubelet) message: String,
    /// There is none, as opposed to: it could not be asked for.
    pub(in crate::kubelet) not_found: bool,
}

/// What was found of the pod's namespace.
#[derive(Debug, Default)]
pub(in crate::kubelet) struct References {
    pub(in crate::kubelet) config_maps: BTreeMap<String, Result<Arc<ConfigMap>, Missing>>,
    pub(in crate::kubelet) secrets: BTreeMap<String, Result<Arc<Secret>, Missing>>,
    /// What is in files of volumes, by volume and path.
    pub(in crate::kubelet) files: BTreeMap<(String, String), Result<String, Missing>>,
}

/// The names of what is to be looked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) struct Wanted {
    pub(in crate::kubelet) config_maps: BTreeSet<String>,
    pub(in crate::kubelet) secrets: BTreeSet<String>,
    pub(in crate::kubelet) files: BTreeSet<(String, String)>,
}

/// What a container's environment refers to.
pub(in crate::kubelet) fn needs(container: &Container) -> Wanted {
    let mut wanted = Wanted::default();
    for source in container.env_from.iter().flatten() {
        wanted.config_maps.extend(source.config_map_ref.as_ref().map(|reference| reference.name.clone()));
        wanted.secrets.extend(source.secret_ref.as_ref().map(|reference| reference.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        wanted.config_maps.extend(source.config_map_key_ref.as_ref().map(|reference| reference.name.clone()));
        wanted.secrets.extend(source.secret_key_ref.as_ref().map(|reference| reference.name.clone()));
        let file = source.file_key_ref.as_ref();
        wanted.files.extend(file.map(|file| (file.volume_name.clone(), file.path.clone())));
    }
    wanted
}

/// What was found under a name; nothing if it may be missing and is.
pub(super) fn found<T>(
    all: &BTreeMap<String, Result<Arc<T>, Missing>>,
    kind: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<Arc<T>>, ConfigError> {
    match all.get(name) {
        Some(Ok(object)) => Ok(Some(Arc::clone(object))),
        Some(Err(missing)) if missing.not_found && optional == Some(true) => Ok(None),
        Some(Err(missing)) => Err(ConfigError(missing.message.clone())),
        None if optional == Some(true) => Ok(None),
        None => Err(ConfigError(format!("{kind} {name:?} not found"))),
    }
}
