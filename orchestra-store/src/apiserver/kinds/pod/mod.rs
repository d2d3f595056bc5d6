//! Pods (`pkg/registry/core/pod`, `pkg/apis/core/validation` of Kubernetes 1.36).

mod affinity_keys;
mod binding;
mod columns;
mod condition;
mod defaults;
mod ephemeral;
mod grace;
pub mod mirror;
pub mod qos;
mod resize;
mod status;
pub mod template;
#[cfg(test)]
mod tests;
mod update;
mod validation;
mod volume_sources;
pub(super) mod warnings;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use serde_json::Value;

pub use self::binding::{BindError, bind};
pub(super) use self::{
    defaults::resource_list,
    validation::{
        amounts, host_path, is_extended, nfs, no_backsteps, node_selector, overcommits, resource_name, storage,
        tolerations,
    },
};
use crate::apiserver::{
    field,
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of pods.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pods;

/// The row of pods.
pub fn row() -> Resource {
    new_row(Pods)
        .short_names(&["po"])
        .categories(&["all"])
        .subresources(&[
            Subresource::Status,
            Subresource::Binding,
            Subresource::Eviction,
            Subresource::Log,
            Subresource::EphemeralContainers,
            Subresource::Resize,
            Subresource::Exec,
            Subresource::Attach,
            Subresource::PortForward,
            Subresource::Proxy,
        ])
        .returns_deleted()
}

impl Strategy for Pods {
    type Object = Pod;
    type Wire = Pod;

    fn default(&self, pod: &mut Pod) {
        defaults::pod(pod.spec.get_or_insert_default());
        if let Some(status) = &mut pod.status {
            defaults::status(status);
        }
    }

    fn prepare_for_create(&self, ctx: &RequestContext, pod: &mut Pod) {
        affinity_keys::merge(pod);
        let spec = pod.spec.get_or_insert_default();
        let mut status = PodStatus {
            phase: Some("Pending".to_owned()),
            qos_class: Some(qos::class(spec).to_owned()),
            ..PodStatus::default()
        };
        if spec.scheduling_gates.is_some() {
            status.conditions = Some(vec![condition::gated(ctx.now)]);
        }
        pod.status = Some(status);
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Pod, old: &Pod) {
        new.status = old.status.clone();
    }

    fn validate(&self, _ctx: &RequestContext, pod: &Pod) -> field::Errors {
        validation::create(pod)
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &Pod, old: &Pod) -> field::Errors {
        update::validate(new, old)
    }

    fn warnings(&self, _ctx: &RequestContext, pod: &Pod, old: Option<&Pod>) -> Vec<String> {
        // People rarely change pods themselves, and the others do often.
        let (None, Some(spec)) = (old, &pod.spec) else { return Vec::new() };
        let mut warnings = warnings::pod(spec, &pod.metadata);
        warnings.extend(warnings::host_name(pod.metadata.name.as_ref(), "the Pod's hostname"));
        warnings
    }

    fn changes_generation(&self, new: &Pod, old: &Pod) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut Pod, old: &Pod) {
        // Rarely is it another, and to see that costs less than a copy.
        if new.spec != old.spec {
            new.spec.clone_from(&old.spec);
        }
        new.metadata.deletion_timestamp = old.metadata.deletion_timestamp.clone();
        new.metadata.owner_references = old.metadata.owner_references.clone();
        let qos_class = old.status.as_ref().and_then(|status| status.qos_class.clone());
        let class = &mut new.status.get_or_insert_default().qos_class;
        if class.as_deref().is_none_or(str::is_empty) {
            *class = qos_class;
        }
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &Pod, old: &Pod) -> field::Errors {
        status::validate_update(new, old)
    }

    fn prepare_for_part_update(&self, part: Subresource, _ctx: &RequestContext, new: &mut Pod, old: &Pod) {
        match part {
            Subresource::Resize => resize::keep(new, old),
            _ => ephemeral::keep(new, old),
        }
    }

    fn validate_part_update(&self, part: Subresource, _ctx: &RequestContext, new: &Pod, old: &Pod) -> field::Errors {
        match part {
            Subresource::Resize => resize::validate(new, old),
            _ => ephemeral::validate(new, old),
        }
    }

    fn grace_period(&self, pod: &Pod, requested: Option<i64>) -> Option<i64> {
        Some(grace::period(pod, requested))
    }

    fn fields(&self, pod: &Pod) -> Vec<String> {
        let (default_spec, default_status) = (PodSpec::default(), PodStatus::default());
        let spec = pod.spec.as_ref().unwrap_or(&default_spec);
        let status = pod.status.as_ref().unwrap_or(&default_status);
        let host_network = spec.host_network.unwrap_or_default().to_string();
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        vec![
            text(&spec.node_name),
            text(&spec.restart_policy),
            text(&spec.scheduler_name),
            text(&spec.service_account_name),
            host_network,
            text(&status.phase),
            text(&status.pod_ip),
            text(&status.nominated_node_name),
        ]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ]
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, pod: &Pod, now: Timestamp) -> Vec<Value> {
        columns::cells(pod, now)
    }
}
