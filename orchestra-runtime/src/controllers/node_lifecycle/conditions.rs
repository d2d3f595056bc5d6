use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, NodeCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orchestra_core::condition;

/// What a node says of itself, or what is said of one that is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    NotReady,
    Unknown,
}

impl Readiness {
    /// By the node's condition `Ready`; none if it never had one.
    pub(super) fn of(node: &Node) -> Option<Self> {
        Some(match condition::find(all(node), "Ready")?.status.as_str() {
            "True" => Self::Ready,
            "False" => Self::NotReady,
            _ => Self::Unknown,
        })
    }
}

/// The node's conditions.
pub(super) fn all(node: &Node) -> &[NodeCondition] {
    node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

/// When the node last posted its readiness.
pub(super) fn last_heartbeat(node: &Node) -> Option<Timestamp> {
    Some(condition::find(all(node), "Ready")?.last_heartbeat_time.as_ref()?.0)
}

/// The conditions of a node that is silent; none if they are that already.
pub(super) fn unknown(node: &Node, now: Time) -> Option<Vec<NodeCondition>> {
    if Readiness::of(node) == Some(Readiness::Unknown) {
        return None;
    }
    let gone_unknown = |kind: &str| match condition::find(all(node), kind) {
        None => NodeCondition {
            type_: kind.to_owned(),
            status: "Unknown".to_owned(),
            reason: Some("NodeStatusNeverUpdated".to_owned()),
            message: Some("Kubelet never posted node status.".to_owned()),
            last_heartbeat_time: node.metadata.creation_timestamp.clone(),
            last_transition_time: Some(now.clone()),
        },
        Some(known) if known.status == "Unknown" => known.clone(),
        Some(known) => NodeCondition {
            status: "Unknown".to_owned(),
            reason: Some("NodeStatusUnknown".to_owned()),
            message: Some("Kubelet stopped posting node status.".to_owned()),
            last_transition_time: Some(now.clone()),
            ..known.clone()
        },
    };
    Some(["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"].map(gone_unknown).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_silent_node_keeps_what_it_said_last() {
        let node = json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "2026-01-01T00:05:00Z"},
                {"type": "DiskPressure", "status": "Unknown", "reason": "Other"},
            ]},
        });
        let now = Time("2026-01-01T00:06:00Z".parse().unwrap());
        let mut node: Node = serde_json::from_value(node).unwrap();
        let conditions = unknown(&node, now.clone()).unwrap();
        let found = conditions.iter().map(|condition| (condition.type_.as_str(), condition.reason.as_deref().unwrap()));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                ("Ready", "NodeStatusUnknown"),
                ("MemoryPressure", "NodeStatusNeverUpdated"),
                ("DiskPressure", "Other"),
                ("PIDPressure", "NodeStatusNeverUpdated"),
            ]
        );
        assert_eq!(conditions[0].last_heartbeat_time, Some(Time("2026-01-01T00:05:00Z".parse().unwrap())));
        assert_eq!(conditions[0].last_transition_time, Some(now.clone()));
        node.status.as_mut().unwrap().conditions = Some(conditions);
        assert_eq!(unknown(&node, now), None);
    }
}
