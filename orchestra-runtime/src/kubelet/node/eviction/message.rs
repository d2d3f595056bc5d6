//! Why a pod was evicted, in Kubernetes' words (`evictionMessage` in `pkg/kubelet/eviction/helpers.go`).

use std::fmt::Write;

use k8s_openapi::api::core::v1::Pod;

use super::{
    super::{
        machine::bytes,
        signals::Observation,
        threshold::{Signal, Threshold},
    },
    ranking::requested,
    usage::Usage,
};
use crate::kubelet::source::uid_of;

/// What the signal is about.
pub(super) fn resource(signal: Signal) -> &'static str {
    match signal {
        Signal::MemoryAvailable => "memory",
        Signal::NodefsAvailable | Signal::ImagefsAvailable => "ephemeral-storage",
        Signal::NodefsInodesFree | Signal::ImagefsInodesFree => "inodes",
        Signal::PidAvailable => "pids",
    }
}

/// What the node lacked, and which of the pod's containers used more than they asked for.
pub(super) fn message(threshold: &Threshold, seen: Observation, pod: &Pod, usage: &Usage) -> String {
    let signal = threshold.signal;
    let resource = resource(signal);
    let amount = |amount: u64| match signal {
        Signal::MemoryAvailable | Signal::NodefsAvailable | Signal::ImagefsAvailable => bytes(amount),
        Signal::NodefsInodesFree | Signal::ImagefsInodesFree | Signal::PidAvailable => amount.to_string(),
    };
    let (least, left) = (amount(threshold.least(seen.capacity)), amount(seen.available));
    let mut message =
        format!("The node was low on resource: {resource}. Threshold quantity: {least}, available: {left}. ");
    if !matches!(resource, "memory" | "ephemeral-storage") {
        return message;
    }
    let used = usage.get(&*uid_of(pod));
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        let used = used.and_then(|used| used.containers.get(&container.name)).map_or(0, |used| used.of(signal));
        let requested = u64::try_from(requested(container, signal)).unwrap_or_default();
        if used > requested {
            // Writing to a string does not fail.
            let _ = write!(
                message,
                "Container {} was using {}, request is {}, has larger consumption of {resource}. ",
                container.name,
                bytes(used),
                bytes(requested)
            );
        }
    }
    message
}
