//! The table of Deployments (`printDeployment` of `pkg/printers/internalversion`).

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::apiserver::{
    age,
    kinds::{column, workload},
    strategy::Column,
};

/// A Deployment's cells.
pub(super) fn cells(deployment: &Deployment, now: Timestamp) -> Vec<Value> {
    let spec = deployment.spec.clone().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    let metadata = &deployment.metadata;
    let ready = status.ready_replicas.unwrap_or_default();
    let mut cells = vec![
        json!(metadata.name),
        json!(format!("{ready}/{}", spec.replicas.unwrap_or_default())),
        json!(status.updated_replicas.unwrap_or_default()),
        json!(status.available_replicas.unwrap_or_default()),
        json!(age::since(metadata.creation_timestamp.as_ref(), now)),
    ];
    cells.extend(workload::wide_cells(Some(&spec.template), &spec.selector));
    cells
}

/// The columns; the last three are shown with `-o wide`.
pub(super) const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Ready",
        kind: "string",
        format: "",
        description: "Number of the pod with ready state",
        priority: 0,
    },
    Column {
        name: "Up-to-date",
        kind: "string",
        format: "",
        description: "Total number of non-terminating pods targeted by this deployment that have the desired template spec.",
        priority: 0,
    },
    Column {
        name: "Available",
        kind: "string",
        format: "",
        description: "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by this deployment.",
        priority: 0,
    },
    column::AGE,
    column::CONTAINERS,
    column::IMAGES,
    Column {
        name: "Selector",
        kind: "string",
        format: "",
        description: "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment. It must match the pod template's labels.",
        priority: 1,
    },
];
