//! One pod on its node, without I/O: what is known of it, what to do next, and what to report.

pub(super) mod backoff;
pub(super) mod ephemeral;
pub(super) mod health;
pub(super) mod record;
pub(super) mod restart;
pub(super) mod status;
pub(super) mod step;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use orchestra_core::container_runtime::ImageSpec;

/// Whether a pod of this status has ended: nothing of it starts again.
pub(super) fn has_ended(status: &PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// A pod's containers in the order in which they start.
pub(super) fn init_containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
}

/// Whether the container is one of those.
pub(super) fn is_init(pod: &Pod, container: &Container) -> bool {
    init_containers(pod).iter().any(|init| init.name == container.name)
}

/// The containers that make up the pod once it is initialized.
pub(super) fn containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default()
}

/// All of them, in order.
pub(super) fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(containers(pod))
}

/// Whether an init container keeps running beside what starts after it (KEP-753).
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The image of a container, with the tag that stands for none.
pub(super) fn image(container: &Container) -> ImageSpec {
    let name = container.image.clone().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    ImageSpec(if last.contains([':', '@']) { name } else { format!("{name}:latest") })
}
