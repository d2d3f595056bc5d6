use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

/// The folder of a pod's logs below `root`: `NAMESPACE_NAME_UID`.
pub(in crate::kubelet) fn log_directory(root: &Path, pod: &Pod) -> String {
    let metadata = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let name = format!("{}_{}_{}", text(&metadata.namespace), text(&metadata.name), text(&metadata.uid));
    root.join(name).display().to_string()
}

/// The file of a container's log in that folder.
pub(super) fn log_path(container: &str, attempt: u32) -> String {
    format!("{container}/{attempt}.log")
}
