use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::container_runtime::{Container, labels};

/// The folder of a pod's logs below `root`: `NAMESPACE_NAME_UID`.
pub(in crate::kubelet) fn log_directory(root: &Path, pod: &Pod) -> String {
    let metadata = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    folder(root, &text(&metadata.namespace), &text(&metadata.name), &text(&metadata.uid)).display().to_string()
}

fn folder(root: &Path, namespace: &str, name: &str, uid: &str) -> PathBuf {
    root.join(format!("{namespace}_{name}_{uid}"))
}

/// The file of a container's log in that folder.
pub(super) fn log_path(container: &str, attempt: u32) -> String {
    format!("{container}/{attempt}.log")
}

/// The file of the log of a container that the runtime has, if it is a pod's.
pub(in crate::kubelet) fn log_file(root: &Path, container: &Container) -> Option<PathBuf> {
    let label = |name: &str| container.labels.get(name);
    let (namespace, name) = (label(labels::POD_NAMESPACE)?, label(labels::POD_NAME)?);
    let folder = folder(root, namespace, name, label(labels::POD_UID)?);
    Some(folder.join(log_path(&container.metadata.name, container.metadata.attempt)))
}
