//! The kinds of the API: one module each, with the strategy, the columns and the row.

mod access_modes;
mod amount;
pub(super) mod column;
pub mod config_map;
mod data_key;
pub mod deployment;
mod device;
pub mod device_class;
pub mod endpoint_slice;
pub mod endpoints;
pub mod event;
pub mod ingress;
pub mod ingress_class;
pub mod lease;
pub mod limit_range;
pub mod namespace;
pub mod network_policy;
pub mod node;
pub mod persistent_volume;
pub mod persistent_volume_claim;
pub mod pod;
pub mod pod_disruption_budget;
pub mod pod_group;
pub mod priority_class;
pub mod rbac;
pub mod replica_set;
pub mod resource_claim;
pub mod resource_claim_template;
pub mod resource_slice;
pub mod review;
pub mod runtime_class;
pub mod scale;
pub mod secret;
pub mod service;
pub mod service_account;
mod spec_diff;
pub mod storage_class;
#[cfg(test)]
mod testing;
mod workload;

use super::registry::Registry;

/// The table of Kubernetes' own kinds.
pub fn table() -> Registry {
    Registry::new()
        .with(config_map::row())
        .with(deployment::row())
        .with(device_class::row())
        .with(endpoint_slice::row())
        .with(endpoints::row())
        .with(event::row())
        .with(event::new_events_row())
        .with(ingress::row())
        .with(ingress_class::row())
        .with(lease::row())
        .with(limit_range::row())
        .with(namespace::row())
        .with(network_policy::row())
        .with(node::row())
        .with(persistent_volume::row())
        .with(persistent_volume_claim::row())
        .with(pod::row())
        .with(pod_disruption_budget::row())
        .with(pod_group::row())
        .with(pod_group::workload::row())
        .with(priority_class::row())
        .with(rbac::roles())
        .with(rbac::cluster_roles())
        .with(rbac::role_bindings())
        .with(rbac::cluster_role_bindings())
        .with(replica_set::row())
        .with(resource_claim::row())
        .with(resource_claim_template::row())
        .with(resource_slice::row())
        .with(review::token_review::row())
        .with(review::self_subject_review::row())
        .with(review::subject_access_review::row())
        .with(review::subject_access_review::local_row())
        .with(review::subject_access_review::self_row())
        .with(review::self_subject_rules_review::row())
        .with(runtime_class::row())
        .with(secret::row())
        .with(service::row())
        .with(service_account::row())
        .with(storage_class::row())
}

#[cfg(test)]
mod tests;
