//! ServiceAccounts (`pkg/registry/core/serviceaccount`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::{Value, json};

use super::column;
use crate::apiserver::{
    age,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, Strategy},
};

/// The rules of service accounts.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceAccounts;

/// The row of service accounts.
pub fn row() -> Resource {
    new_row(ServiceAccounts).short_names(&["sa"]).subresources(&[Subresource::Token]).returns_deleted()
}

impl Strategy for ServiceAccounts {
    type Object = ServiceAccount;
    type Wire = ServiceAccount;

    fn columns(&self) -> &'static [Column] {
        &[column::NAME, column::AGE]
    }

    fn cells(&self, object: &ServiceAccount, now: Timestamp) -> Vec<Value> {
        let metadata = &object.metadata;
        vec![json!(metadata.name), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}
