//! Ephemeral containers: what people add to a running pod to look into it (KEP-277).

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

fn all(pod: &Pod) -> &[EphemeralContainer] {
    pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default()
}

/// The pod's ephemeral containers, as if they were ordinary ones.
pub(in crate::kubelet) fn ephemeral_containers(pod: &Pod) -> Vec<Container> {
    all(pod).iter().map(as_container).collect()
}

/// Whether the container is one of those.
pub(in crate::kubelet) fn is_ephemeral(pod: &Pod, container: &Container) -> bool {
    all(pod).iter().any(|ephemeral| ephemeral.name == container.name)
}

/// The container whose processes it is to see.
pub(in crate::kubelet) fn target<'a>(pod: &'a Pod, container: &Container) -> Option<&'a str> {
    let ephemeral = all(pod).iter().find(|ephemeral| ephemeral.name == container.name)?;
    ephemeral.target_container_name.as_deref().filter(|name| !name.is_empty())
}

fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let EphemeralContainer {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        name,
        security_context,
        stdin,
        stdin_once,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
        ..
    } = ephemeral.clone();
    Container {
        args,
        command,
        env,
        env_from,
        image,
        image_pull_policy,
        name,
        security_context,
        stdin,
        stdin_once,
        termination_message_path,
        termination_message_policy,
        tty,
        volume_devices,
        volume_mounts,
        working_dir,
        // What is not here is not allowed there.
        ..Container::default()
    }
}
