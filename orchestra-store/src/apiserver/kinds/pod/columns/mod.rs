//! The columns of a table of pods and their cells (`pkg/printers/internalversion`).

mod summary;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::Value;

use self::summary::Summary;
use crate::apiserver::{age, strategy::Column};

const NONE: &str = "<none>";

/// The columns; the last four are shown with `-o wide`.
pub(super) const COLUMNS: &[Column] = &[
    Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
        priority: 0,
    },
    Column {
        name: "Ready",
        kind: "string",
        format: "",
        description: "The aggregate readiness state of this pod for accepting traffic.",
        priority: 0,
    },
    Column {
        name: "Status",
        kind: "string",
        format: "",
        description: "The aggregate status of the containers in this pod.",
        priority: 0,
    },
    Column {
        name: "Restarts",
        kind: "string",
        format: "",
        description: "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        priority: 0,
    },
    Column {
        name: "Age",
        kind: "string",
        format: "",
        description: "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
        priority: 0,
    },
    Column {
        name: "IP",
        kind: "string",
        format: "",
        description: "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        priority: 1,
    },
    Column {
        name: "Node",
        kind: "string",
        format: "",
        description: "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename",
        priority: 1,
    },
    Column {
        name: "Nominated Node",
        kind: "string",
        format: "",
        description: "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods. This field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is scheduled.",
        priority: 1,
    },
    Column {
        name: "Readiness Gates",
        kind: "string",
        format: "",
        description: "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates",
        priority: 1,
    },
];

/// A pod's row.
pub(super) fn cells(pod: &Pod, now: Timestamp) -> Vec<Value> {
    let Summary { ready, total, reason, restarts, last_restart } = Summary::of(pod);
    let restarts = match &last_restart {
        Some(_) if restarts != 0 => format!("{restarts} ({} ago)", age::since(last_restart.as_ref(), now)),
        _ => restarts.to_string(),
    };
    let (no_spec, no_status) = (Default::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    let address = status.pod_ips.iter().flatten().next().map(|address| &address.ip).or(status.pod_ip.as_ref());
    vec![
        pod.metadata.name.as_deref().unwrap_or_default().into(),
        format!("{ready}/{total}").into(),
        reason.into(),
        restarts.into(),
        age::since(pod.metadata.creation_timestamp.as_ref(), now).into(),
        or_none(address),
        or_none(spec.node_name.as_ref()),
        or_none(status.nominated_node_name.as_ref()),
        readiness_gates(pod).into(),
    ]
}

fn or_none(text: Option<&String>) -> Value {
    text.filter(|text| !text.is_empty()).map_or(NONE, String::as_str).into()
}

/// How many readiness gates are open, of how many.
fn readiness_gates(pod: &Pod) -> String {
    let Some(gates) = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_ref()).filter(|g| !g.is_empty()) else {
        return NONE.to_owned();
    };
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let open =
        gates.iter().filter(|gate| conditions.iter().any(|c| c.type_ == gate.condition_type && c.status == "True"));
    format!("{}/{}", open.count(), gates.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(pod: Value) -> Vec<String> {
        let pod = serde_json::from_value(pod).unwrap();
        let now = "2026-01-01T00:01:40Z".parse().unwrap();
        cells(&pod, now).into_iter().map(|cell| cell.as_str().unwrap().to_owned()).collect()
    }

    fn status(spec: Value, status: Value) -> String {
        row(json!({"metadata": {"name": "p"}, "spec": spec, "status": status}))[2].clone()
    }

    #[test]
    fn a_running_pod_that_restarted() {
        let row = row(json!({
            "metadata": {"name": "d1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": [{"name": "main"}], "readinessGates": [{"conditionType": "x"}]},
            "status": {"phase": "Running", "podIP": "10.1.1.1", "containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 3, "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:01:35Z"}}
            }]}
        }));
        assert_eq!(row, ["d1", "1/1", "Running", "3 (5s ago)", "100s", "10.1.1.1", "n1", "<none>", "0/1"]);
    }

    #[test]
    fn the_status_is_the_most_telling_reason() {
        let one = json!({"containers": [{"name": "a"}]});
        let container = |state: Value| {
            let status =
                json!({"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            json!({"phase": "Pending", "containerStatuses": [status]})
        };
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        assert_eq!(status(one.clone(), container(waiting)), "CrashLoopBackOff");
        let completed = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        assert_eq!(status(one.clone(), container(completed)), "Completed");
        assert_eq!(status(one.clone(), container(json!({"terminated": {"exitCode": 3}}))), "ExitCode:3");
        assert_eq!(status(one.clone(), container(json!({"terminated": {"exitCode": 3, "signal": 9}}))), "Signal:9");
        assert_eq!(status(one.clone(), json!({"phase": "Failed", "reason": "Evicted"})), "Evicted");
        let gated = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
        assert_eq!(status(one, json!({"phase": "Pending", "conditions": gated})), "SchedulingGated");
    }

    #[test]
    fn initialisation_is_counted() {
        let spec = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}, {"name": "j"}]});
        let init = |name: &str, state: Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let done = init("i", json!({"terminated": {"exitCode": 0}}));
        let running = json!({"phase": "Pending", "initContainerStatuses": [done, init("j", json!({"running": {}}))]});
        assert_eq!(status(spec.clone(), running), "Init:1/2");
        let failed =
            json!({"phase": "Pending", "initContainerStatuses": [init("i", json!({"terminated": {"exitCode": 2}}))]});
        assert_eq!(status(spec.clone(), failed), "Init:ExitCode:2");
        let pulling = json!({"phase": "Pending", "initContainerStatuses": [init("i", json!({"waiting": {"reason": "ErrImagePull"}}))]});
        assert_eq!(status(spec, pulling), "Init:ErrImagePull");
    }

    #[test]
    fn a_pod_being_deleted_is_terminating_until_it_has_ended() {
        let deleted = |phase: &str| {
            row(json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"containers": []},
                "status": {"phase": phase}}))[2].clone()
        };
        assert_eq!(deleted("Running"), "Terminating");
        assert_eq!(deleted("Succeeded"), "Succeeded");
    }
}
