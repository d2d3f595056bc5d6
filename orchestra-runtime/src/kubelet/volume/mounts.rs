//! What the runtime is to mount into a container (`makeMounts`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};
use orchestra_core::container_runtime::{Mount, MountPropagation};

use super::{Places, PodFolder, VolumeError, blocking, sub_path};
use crate::kubelet::container::{ConfigError, Hostname, expand, node_hosts_file, pod_hosts_file};

const HOSTS: &str = "/etc/hosts";

/// What mounts depend on beside the container.
pub(in crate::kubelet) struct Around<'a> {
    pub(in crate::kubelet) pod: &'a Pod,
    pub(in crate::kubelet) folder: PodFolder,
    pub(in crate::kubelet) places: &'a Places,
    pub(in crate::kubelet) env: &'a BTreeMap<String, String>,
    pub(in crate::kubelet) ips: &'a [IpAddr],
    pub(in crate::kubelet) cluster_domain: &'a str,
}

/// A part of a volume that is to be shown at a place of its own.
struct Part {
    volume: PathBuf,
    path: PathBuf,
    target: PathBuf,
    /// What to tell if that fails. Why it did could tell of the node.
    failure: String,
}

/// The mounts of a container, with all that they need on the node made.
pub(in crate::kubelet) async fn mounts(
    of: Around<'_>,
    container: &Container,
    attempt: u32,
) -> Result<Vec<Mount>, ConfigError> {
    let (mut mounts, mut parts) = (Vec::new(), Vec::new());
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let (mount, part) = of.mount(container, index, mount)?;
        mounts.push(mount);
        parts.extend(part);
    }
    let mut files = Vec::new();
    if mounts.iter().all(|mount| mount.container_path != HOSTS) {
        let text = of.hosts_file().map_err(|error| ConfigError(error.to_string()))?;
        files.extend(text.map(|text| (HOSTS, of.folder.hosts_file(), text, 0o644)));
    }
    if let Some(path) = container.termination_message_path.as_deref().filter(|path| !path.is_empty()) {
        files.push((path, of.folder.termination_message(&container.name, attempt), String::new(), 0o666));
    }
    mounts.extend(files.iter().map(|(container_path, host_path, ..)| Mount {
        container_path: (*container_path).to_owned(),
        host_path: host_path.display().to_string(),
        ..Mount::default()
    }));
    let files: Vec<_> = files.into_iter().map(|(_, path, text, mode)| (path, text, mode)).collect();
    let made = blocking(move || {
        for (path, text, mode) in files {
            write(&path, &text, mode)?;
        }
        for part in parts {
            sub_path::show(&part.volume, &part.path, &part.target).map_err(|error| {
                tracing::warn!(%error, volume = %part.volume.display(), path = %part.path.display(), "{}", part.failure);
                VolumeError::new(part.failure)
            })?;
        }
        Ok(())
    });
    made.await.map_err(|error| ConfigError(error.to_string()))?;
    Ok(mounts)
}

impl Around<'_> {
    fn mount(
        &self,
        container: &Container,
        index: usize,
        mount: &VolumeMount,
    ) -> Result<(Mount, Option<Part>), ConfigError> {
        let name = &mount.name;
        let place = self.places.get(name);
        let place = place.ok_or_else(|| {
            ConfigError(format!("cannot find volume {name:?} to mount into container {:?}", container.name))
        })?;
        let read_only = mount.read_only == Some(true);
        refuse_recursive(mount, read_only)?;
        let part = self.sub_path(mount)?.map(|path| Part {
            volume: place.path.clone(),
            path,
            target: self.folder.sub_path(name, &container.name, index),
            failure: format!("failed to prepare subPath for volumeMount {name:?} of container {:?}", container.name),
        });
        let host_path = part.as_ref().map_or(&place.path, |part| &part.target);
        let made = Mount {
            container_path: absolute(&mount.mount_path),
            host_path: host_path.display().to_string(),
            readonly: read_only || place.read_only,
            propagation: propagation(mount)?,
        };
        Ok((made, part))
    }

    /// The part of the volume that is mounted, if not all.
    fn sub_path(&self, mount: &VolumeMount) -> Result<Option<PathBuf>, ConfigError> {
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let path = match set(&mount.sub_path_expr) {
            Some(expression) => {
                let mut missing = BTreeSet::new();
                let path = expand(&expression, |name| {
                    let value = self.env.get(name).filter(|value| !value.is_empty());
                    if value.is_none() {
                        missing.insert(name.to_owned());
                    }
                    Some(value.cloned().unwrap_or_default())
                });
                if !missing.is_empty() {
                    let names = missing.into_iter().collect::<Vec<_>>().join(", ");
                    return Err(ConfigError(format!("missing value for {names}")));
                }
                Some(path)
            }
            None => set(&mount.sub_path),
        };
        let path = path.filter(|path| !path.is_empty());
        path.map(|path| sub_path::checked(&path).map_err(ConfigError)).transpose()
    }

    /// What `/etc/hosts` is to say; `None` for a pod without address.
    fn hosts_file(&self) -> io::Result<Option<String>> {
        if self.pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
            return Ok(Some(node_hosts_file(self.pod, &fs::read_to_string(HOSTS)?)));
        }
        let host = Hostname::of(self.pod, self.cluster_domain);
        Ok((!self.ips.is_empty()).then(|| pod_hosts_file(self.pod, &host, self.ips)))
    }
}

fn refuse_recursive(mount: &VolumeMount, read_only: bool) -> Result<(), ConfigError> {
    let why = match mount.recursive_read_only.as_deref() {
        Some("Enabled") if read_only => "it is not supported by the runtime",
        Some("Enabled") => "it is not read-only",
        _ => return Ok(()),
    };
    let name = &mount.name;
    let message = format!("volume {name:?} requested recursive read-only mode, but {why}");
    Err(ConfigError(format!("failed to resolve recursive read-only mode: {message}")))
}

fn propagation(mount: &VolumeMount) -> Result<MountPropagation, ConfigError> {
    match mount.mount_propagation.as_deref() {
        None | Some("None" | "") => Ok(MountPropagation::Private),
        Some("HostToContainer") => Ok(MountPropagation::HostToContainer),
        Some("Bidirectional") => Ok(MountPropagation::Bidirectional),
        Some(other) => Err(ConfigError(format!("invalid MountPropagation mode: {other:?}"))),
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
