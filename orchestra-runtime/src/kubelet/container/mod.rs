//! What a pod's spec makes of its sandbox and containers: pure functions from the pod, and what it refers to, to what the runtime is
//! asked for (`pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/kuberuntime` and `pkg/securitycontext` of Kubernetes 1.36).

mod annotations;
mod config;
mod dns;
mod downward;
mod env;
mod env_file;
mod expand;
mod hostname;
mod hosts;
mod image_user;
mod logs;
mod references;
mod resource_field;
mod resources;
mod sandbox;
mod security;
mod service_links;

use k8s_openapi::api::core::v1::Pod;

pub(super) use self::{
    annotations::restored,
    config::{Parts, container_config, limits_on},
    dns::{DnsSettings, resolv_conf},
    downward::metadata_field,
    env::{Surroundings, environment},
    expand::expand,
    hostname::Hostname,
    hosts::{node_hosts_file, pod_hosts_file},
    image_user::run_as_user,
    logs::{log_directory, log_file},
    references::{Missing, References, Wanted, needs},
    resource_field::amount,
    resources::{MIN_SHARES, QosClass, qos_class, quota, shares},
    sandbox::sandbox_config,
};

/// Why a container cannot be made of its spec, in Kubernetes' words; its reason is `CreateContainerConfigError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ConfigError(pub(super) String);

/// `name_namespace(uid)`, as the kubelet's messages name pods.
pub(super) fn full_name(pod: &Pod) -> String {
    let metadata = &pod.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}_{}({})", text(&metadata.name), text(&metadata.namespace), text(&metadata.uid))
}

#[cfg(test)]
mod testing {
    use k8s_openapi::api::core::v1::{Container, Pod};
    use serde_json::{Value, json};

    /// A pod `p` of namespace `ns` with these parts of a spec beside one container `c`.
    pub(super) fn pod(spec: Value) -> Pod {
        let mut pod = json!({
            "metadata": { "name": "p", "namespace": "ns", "uid": "u" },
            "spec": { "containers": [{ "name": "c", "image": "i" }] },
        });
        if let (Some(all), Some(more)) = (pod["spec"].as_object_mut(), spec.as_object()) {
            all.extend(more.clone());
        }
        serde_json::from_value(pod).expect("a pod")
    }

    /// A container `c` with these parts.
    pub(super) fn container(parts: Value) -> Container {
        let mut container = json!({ "name": "c", "image": "i" });
        if let (Some(all), Some(more)) = (container.as_object_mut(), parts.as_object()) {
            all.extend(more.clone());
        }
        serde_json::from_value(container).expect("a container")
    }
}
