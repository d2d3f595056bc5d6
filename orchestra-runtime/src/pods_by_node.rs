//! The pods of an informer by their node: one index for all who ask.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::informer::Informer;

use crate::lean_pod::LeanPod;

const INDEX: &str = "spec.nodeName";

/// Keeps the index, from now on.
pub(crate) fn index(pods: &Informer<LeanPod>) {
    pods.add_index(INDEX, |pod| node_of(pod).map(str::to_owned).into_iter().collect());
}

/// The pods that are bound to `node`.
pub(crate) fn on(pods: &Informer<LeanPod>, node: &str) -> Vec<Arc<LeanPod>> {
    pods.by_index(INDEX, node)
}

/// The node that the pod is bound to.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}
