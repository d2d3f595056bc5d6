//! Scales (`autoscaling/v1`): not a kind that is stored, but what the `scale` subresource shows of one.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::Scale;
use serde_json::{Value, json};

use super::column;
use crate::apiserver::{
    age,
    registry::Resource,
    row as new_row,
    strategy::{Column, Strategy},
};

/// The rules of scales.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scales;

/// The row by which scales are shown; it is in no table.
pub fn row() -> Resource {
    new_row(Scales)
}

impl Strategy for Scales {
    type Object = Scale;
    type Wire = Scale;

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, scale: &Scale, now: Timestamp) -> Vec<Value> {
        let metadata = &scale.metadata;
        let desired = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let available = scale.status.as_ref().map_or(0, |status| status.replicas);
        let age = age::since(metadata.creation_timestamp.as_ref(), now);
        vec![json!(metadata.name), json!(desired), json!(available), json!(age)]
    }
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Desired",
        kind: "integer",
        format: "",
        description: "replicas is the desired number of instances for the scaled object.",
        priority: 0,
    },
    Column {
        name: "Available",
        kind: "integer",
        format: "",
        description: "replicas is the actual number of observed instances of the scaled object.",
        priority: 0,
    },
    column::AGE,
];
