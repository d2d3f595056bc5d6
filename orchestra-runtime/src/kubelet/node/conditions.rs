//! The node's conditions, in Kubernetes' order and words.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, NodeCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orchestra_core::{
    condition,
    container_runtime::{RuntimeCondition, RuntimeStatus},
};

use super::pressure::Lack;

/// What Kubernetes says of a runtime that does not answer.
pub(super) const RUNTIME_DOWN: &str = "container runtime is down";

/// The four conditions. Where the status stays, so does the time of its last change.
pub(super) fn conditions_at(
    runtime: &RuntimeStatus,
    lacks: &[Lack],
    is_shutting_down: bool,
    old: &[NodeCondition],
    now: Timestamp,
) -> Vec<NodeCondition> {
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let failed = lack("container runtime", "RuntimeReady", &runtime.runtime).or_else(|| lack_of_network(runtime));
    let ready = match failed {
        None if is_shutting_down => {
            ("Ready".to_owned(), "False", "KubeletNotReady".to_owned(), "node is shutting down".to_owned())
        }
        None => ("Ready".to_owned(), "True", "KubeletReady".to_owned(), "kubelet is posting ready status".to_owned()),
        Some(message) => ("Ready".to_owned(), "False", "KubeletNotReady".to_owned(), message),
    };
    let pressures = [Lack::Memory, Lack::Disk, Lack::Pid].map(|lack| pressure(lack, lacks.contains(&lack)));
    pressures
        .into_iter()
        .chain([ready])
        .map(|(type_, status, reason, message)| {
            let same = condition::find(old, &type_).filter(|condition| condition.status == status);
            NodeCondition {
                last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(now.clone())),
                last_heartbeat_time: Some(now.clone()),
                status: status.to_owned(),
                reason: Some(reason),
                message: Some(message),
                type_,
            }
        })
        .collect()
}

/// Why the runtime cannot give sandboxes a network, if it cannot.
pub(in crate::kubelet) fn lack_of_network(runtime: &RuntimeStatus) -> Option<String> {
    lack("container runtime network", "NetworkReady", &runtime.network)
}

fn lack(what: &str, kind: &str, condition: &RuntimeCondition) -> Option<String> {
    let RuntimeCondition { ready, reason, message } = condition;
    match *ready {
        true => None,
        false if message.starts_with(RUNTIME_DOWN) => Some(message.clone()),
        false => Some(format!("{what} not ready: {kind}=false reason:{reason} message:{message}")),
    }
}

/// Type, status, reason and message.
fn pressure(lack: Lack, is_lacking: bool) -> (String, &'static str, String, String) {
    let (reason, message) = match (lack, is_lacking) {
        (Lack::Memory, false) => ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        (Lack::Memory, true) => ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
        (Lack::Disk, false) => ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        (Lack::Disk, true) => ("KubeletHasDiskPressure", "kubelet has disk pressure"),
        (Lack::Pid, false) => ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        (Lack::Pid, true) => ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    };
    let status = if is_lacking { "True" } else { "False" };
    (lack.condition().to_owned(), status, reason.to_owned(), message.to_owned())
}

/// The events that tell of what became of the node's conditions, as the kubelet has them one after the other.
pub(super) fn news(old: &[NodeCondition], new: &[NodeCondition]) -> Vec<String> {
    let is_news = |new: &&NodeCondition| match condition::find(old, &new.type_) {
        Some(old) => old.status != new.status,
        // A node that is not ready yet is no news.
        None => new.type_ != "Ready" || new.status == "True",
    };
    let name = |new: &NodeCondition| new.reason.as_deref().unwrap_or_default().replacen("Kubelet", "Node", 1);
    new.iter().filter(is_news).map(name).collect()
}

pub(super) fn conditions_of(node: &Node) -> Vec<NodeCondition> {
    node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default()
}

/// Whether any of the `new` conditions is not as it was; others than these are not the kubelet's.
pub(super) fn is_change(old: &[NodeCondition], new: &[NodeCondition]) -> bool {
    new.iter().any(|new| {
        condition::find(old, &new.type_).is_none_or(|old| (&old.status, &old.message) != (&new.status, &new.message))
    })
}
