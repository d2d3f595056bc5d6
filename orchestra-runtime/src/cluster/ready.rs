//! Waits until nodes can take pods.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use orchestra_core::{
    ObjectKey, condition,
    informer::{Informer, InformerFactory},
    well_known_taints::NOT_READY,
};
use tokio::sync::Notify;

use super::error::NodeNotReady;

/// Returns when all nodes named are ready.
pub(super) async fn ready(informers: &InformerFactory, names: &[String]) {
    let nodes = informers.informer::<Node>();
    let changed = Arc::new(Notify::new());
    let notify = Arc::clone(&changed);
    let subscription = nodes.subscribe(move |_| notify.notify_one());
    while names.iter().any(|name| why_not(&nodes, name).is_some()) {
        changed.notified().await;
    }
    drop(subscription);
}

/// The nodes that are not ready.
pub(super) fn missing(informers: &InformerFactory, names: &[String]) -> Vec<NodeNotReady> {
    let nodes = informers.informer::<Node>();
    let not_ready = |name: &String| Some(NodeNotReady { reason: why_not(&nodes, name)?, name: name.clone() });
    names.iter().filter_map(not_ready).collect()
}

/// Why the node is not ready; `None` if it is.
fn why_not(nodes: &Informer<Node>, name: &str) -> Option<String> {
    let Some(node) = nodes.get(&ObjectKey::cluster(name)) else { return Some("not registered".to_owned()) };
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    match condition::find(conditions, "Ready") {
        Some(ready) if ready.status == "True" => {
            // Every node has it until the node lifecycle controller saw it ready; no pod gets there before.
            let tainted = taints.any(|taint| taint.key == NOT_READY);
            tainted.then(|| format!("has the taint {NOT_READY}"))
        }
        Some(ready) => Some(ready.message.clone().unwrap_or_else(|| "not ready".to_owned())),
        None => Some("no status posted".to_owned()),
    }
}
