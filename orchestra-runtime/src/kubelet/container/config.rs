//! What a container is to be like (`generateContainerConfig`).

use std::{collections::BTreeMap, path::PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use orchestra_core::{
    container_runtime::{ContainerConfig, ContainerMetadata, ContainerResources, Image, ImageSpec, Mount, labels},
    quantity::Quantity,
};

use super::{
    ConfigError, annotations, expand, image_user, logs, resources, sandbox::pod_labels, security, security::Effective,
};
use crate::kubelet::{
    NodeConfig, huge_pages,
    pod::{is_init, is_sidecar},
};

/// What a container is made of beside its spec.
pub(in crate::kubelet) struct Parts<'a> {
    pub(in crate::kubelet) image: ImageSpec,
    /// What is known of that image.
    pub(in crate::kubelet) known_image: &'a Image,
    pub(in crate::kubelet) env: BTreeMap<String, String>,
    pub(in crate::kubelet) mounts: Vec<Mount>,
    pub(in crate::kubelet) attempt: u32,
}

/// The container that `container` of `pod` describes, on this node.
pub(in crate::kubelet) fn container_config(
    pod: &Pod,
    container: &Container,
    node: &NodeConfig,
    parts: Parts<'_>,
) -> Result<ContainerConfig, ConfigError> {
    let effective = Effective::of(pod, container);
    let run_as = image_user::run_as(pod, container, &effective, parts.known_image)?;
    let profiles = node.root.as_ref().map_or_else(|| PathBuf::from("/"), |root| root.join("seccomp"));
    let expanded = |words: &Option<Vec<String>>| -> Vec<String> {
        words.iter().flatten().map(|word| expand(word, |name| parts.env.get(name).cloned())).collect()
    };
    let mut labels = pod_labels(pod);
    labels.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    if is_init(pod, container) && !is_sidecar(container) {
        labels.insert(labels::CONTAINER_TYPE.to_owned(), "init".to_owned());
    }
    Ok(ContainerConfig {
        metadata: ContainerMetadata { name: container.name.clone(), attempt: parts.attempt },
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        labels,
        annotations: match node.is_real() {
            true => annotations::of_container(pod, container, parts.attempt),
            false => BTreeMap::new(),
        },
        resources: limits_on(node, pod, container),
        security: effective.security(run_as, &profiles),
        pid: security::pid(pod),
        log_path: match node.pod_logs {
            Some(_) => logs::log_path(&container.name, parts.attempt),
            None => String::new(),
        },
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        image: parts.image,
        env: parts.env.into_iter().collect(),
        mounts: parts.mounts,
    })
}

/// What the container may use on this node, in the kernel's terms.
pub(in crate::kubelet) fn limits_on(node: &NodeConfig, pod: &Pod, container: &Container) -> ContainerResources {
    let pages = huge_pages::of_container(pod, container, &node.capacity);
    let huge_pages = pages.into_iter().map(|(size, amount)| (huge_pages::kernel_name(size), amount)).collect();
    let unified = node.unified.clone();
    ContainerResources { huge_pages, unified, ..resources::limits(pod, container, memory_of(node)) }
}

/// Bytes of the node's memory.
fn memory_of(node: &NodeConfig) -> i64 {
    node.capacity.get("memory").and_then(|amount| amount.parse::<Quantity>().ok()).unwrap_or_default().value()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::pod, *};

    #[test]
    fn commands_and_arguments_are_expanded_and_places_named() {
        let pod = pod(json!({ "shareProcessNamespace": true, "containers": [{
            "name": "c", "image": "i", "command": ["/bin/$(A)", "$$(A)"], "args": ["$(B)", "$(NONE)"],
            "workingDir": "/w", "stdin": true, "stdinOnce": true, "tty": true,
        }] }));
        let mut node = NodeConfig::example();
        node.pod_logs = Some("/logs".into());
        let parts = Parts {
            image: "i:latest".into(),
            known_image: &Image::default(),
            env: [("A", "a"), ("B", "$(A)")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            mounts: Vec::new(),
            attempt: 3,
        };
        let config = container_config(&pod, &pod.spec.as_ref().unwrap().containers[0], &node, parts).unwrap();
        assert_eq!(config.command, ["/bin/a", "$(A)"]);
        assert_eq!(config.args, ["$(A)", "$(NONE)"]);
        assert_eq!((config.working_dir.as_str(), config.log_path.as_str()), ("/w", "c/3.log"));
        assert!(config.stdin && config.stdin_once && config.tty);
        assert_eq!(config.pid, orchestra_core::container_runtime::PidNamespace::Pod);
    }
}
