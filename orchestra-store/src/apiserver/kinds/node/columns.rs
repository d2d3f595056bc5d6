//! The table of nodes (`printNode` of `pkg/printers/internalversion`).

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use serde_json::{Value, json};

use super::unschedulable;
use crate::apiserver::{age, kinds::column, strategy::Column};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE: &str = "kubernetes.io/role";

/// A node's cells.
pub(super) fn cells(node: &Node, now: Timestamp) -> Vec<Value> {
    let none = NodeStatus::default();
    let status = node.status.as_ref().unwrap_or(&none);
    let info = status.node_info.clone().unwrap_or_default();
    let known = |text: &str| if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() };
    vec![
        json!(node.metadata.name),
        json!(state(node, status)),
        json!(roles(node)),
        json!(age::since(node.metadata.creation_timestamp.as_ref(), now)),
        json!(info.kubelet_version),
        json!(address(status, "InternalIP")),
        json!(address(status, "ExternalIP")),
        json!(known(&info.os_image)),
        json!(known(&info.kernel_version)),
        json!(known(&info.container_runtime_version)),
    ]
}

fn state(node: &Node, status: &NodeStatus) -> String {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let mut state = match ready.map(|condition| condition.status.as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if unschedulable(node) {
        state.push_str(",SchedulingDisabled");
    }
    state
}

fn roles(node: &Node) -> String {
    let role = |(key, value): (&String, &String)| match key.strip_prefix(ROLE_PREFIX) {
        Some(role) => Some(role.to_owned()).filter(|role| !role.is_empty()),
        None => Some(value.clone()).filter(|value| key == ROLE && !value.is_empty()),
    };
    let roles: BTreeSet<String> = node.metadata.labels.iter().flatten().filter_map(role).collect();
    if roles.is_empty() { "<none>".to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

fn address(status: &NodeStatus, kind: &str) -> String {
    let found = status.addresses.iter().flatten().find(|address| address.type_ == kind);
    found.map_or_else(|| "<none>".to_owned(), |address| address.address.clone())
}

/// The columns; the last five are shown with `-o wide`.
pub(super) const COLUMNS: &[Column] = &[
    column::NAME,
    Column { name: "Status", kind: "string", format: "", description: "The status of the node", priority: 0 },
    Column { name: "Roles", kind: "string", format: "", description: "The roles of the node", priority: 0 },
    column::AGE,
    Column {
        name: "Version",
        kind: "string",
        format: "",
        description: "Kubelet Version reported by the node.",
        priority: 0,
    },
    Column {
        name: "Internal-IP",
        kind: "string",
        format: "",
        description: "List of addresses reachable to the node. Queried from cloud provider, if available. More info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an example. Consumers should assume that addresses can change during the lifetime of a Node. However, there are some exceptions where this may not be possible, such as Pods that inherit a Node's address in its own status or consumers of the downward API (status.hostIP).",
        priority: 1,
    },
    Column {
        name: "External-IP",
        kind: "string",
        format: "",
        description: "List of addresses reachable to the node. Queried from cloud provider, if available. More info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an example. Consumers should assume that addresses can change during the lifetime of a Node. However, there are some exceptions where this may not be possible, such as Pods that inherit a Node's address in its own status or consumers of the downward API (status.hostIP).",
        priority: 1,
    },
    Column {
        name: "OS-Image",
        kind: "string",
        format: "",
        description: "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        priority: 1,
    },
    Column {
        name: "Kernel-Version",
        kind: "string",
        format: "",
        description: "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        priority: 1,
    },
    Column {
        name: "Container-Runtime",
        kind: "string",
        format: "",
        description: "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
        priority: 1,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::object;

    #[test]
    fn a_cordoned_control_plane_node() {
        let node = object(json!({
            "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "a"}},
            "spec": {"unschedulable": true},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.1.2.3"}],
                "nodeInfo": {"kubeletVersion": "v1.36.2"}
            }
        }));
        let cells = cells(&node, Timestamp::UNIX_EPOCH);
        assert_eq!(
            cells,
            [
                json!("n1"),
                json!("Ready,SchedulingDisabled"),
                json!("a,control-plane"),
                json!("<unknown>"),
                json!("v1.36.2"),
                json!("10.1.2.3"),
                json!("<none>"),
                json!("<unknown>"),
                json!("<unknown>"),
                json!("<unknown>"),
            ]
        );
    }

    #[test]
    fn nothing_known_of_a_new_node() {
        let cells = cells(&Node::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(cells[1..3], [json!("Unknown"), json!("<none>")]);
    }
}
