//! What a pod's status is to say, computed from what is known of it.

mod conditions;
mod container;
mod phase;
mod text;

use std::{borrow::Cow, net::IpAddr, slice};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, ContainerStatus, HostIP, Pod, PodIP, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use self::{
    container::{Kind, Told},
    phase::{incomplete_init, is_ending, phase},
    text::shows,
};
use super::{containers, ephemeral::ephemeral_containers, has_ended, init_containers, record::PodRecord};
use crate::kubelet::node::{EVICTED, shutdown::TERMINATED};

/// The conditions of a resize.
pub(in crate::kubelet) const RESIZE_PENDING: &str = "PodResizePending";
pub(in crate::kubelet) const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";

/// What status needs beside the pod and its record.
pub(in crate::kubelet) struct Reporter<'a> {
    /// The scheme of container ids.
    pub(in crate::kubelet) runtime: &'a str,
    /// The node's address.
    pub(in crate::kubelet) host_ip: IpAddr,
    pub(in crate::kubelet) now: Timestamp,
}

/// The API's times have no fractions of a second.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

impl Reporter<'_> {
    /// The status that follows `old`, which is not copied if nothing changed. Conditions of others are kept.
    pub(in crate::kubelet) fn report<'a>(
        &self,
        pod: &Pod,
        record: &PodRecord,
        old: &'a PodStatus,
    ) -> Cow<'a, PodStatus> {
        let mut status = Cow::Borrowed(old);
        if status.start_time.is_none() {
            status.to_mut().start_time = Some(time(self.now));
        }
        if status.observed_generation != pod.metadata.generation {
            status.to_mut().observed_generation = pod.metadata.generation;
        }
        self.report_addresses(pod, record, &mut status);
        // Kubernetes tells that a pod failed only when nothing of it runs any more.
        let failed = record.failed.as_ref().filter(|_| !record.has_running());
        if let Some((reason, message)) = failed {
            self.report_failure(pod, record, (reason, message), &mut status);
            if record.is_untouched() {
                return status;
            }
        }
        let (init, ephemeral) = (init_containers(pod), ephemeral_containers(pod));
        if let Some(changed) = self.containers(pod, init, record, Kind::Init, &status.init_container_statuses) {
            status.to_mut().init_container_statuses = Some(changed);
        }
        let told = &status.ephemeral_container_statuses;
        if let Some(changed) = self.containers(pod, &ephemeral, record, Kind::Ephemeral, told) {
            status.to_mut().ephemeral_container_statuses = Some(changed);
        }
        if let Some(changed) = self.containers(pod, containers(pod), record, Kind::Main, &status.container_statuses) {
            status.to_mut().container_statuses = Some(changed);
        }
        if !has_ended(old) && failed.is_none() {
            let phase = phase(pod, record, is_ending(pod, record));
            set(&mut status, |status| &status.phase, |status| &mut status.phase, phase);
        }
        self.report_conditions(pod, record, &mut status);
        self.report_resize(pod, record, &mut status);
        status
    }

    fn report_addresses(&self, pod: &Pod, record: &PodRecord, status: &mut Cow<'_, PodStatus>) {
        let told = status.host_ips.as_deref().unwrap_or_default();
        if !shows(status.host_ip.as_deref(), self.host_ip)
            || !matches!(told, [told] if shows(Some(&told.ip), self.host_ip))
        {
            let status = status.to_mut();
            status.host_ip = Some(self.host_ip.to_string());
            status.host_ips = Some(vec![HostIP { ip: self.host_ip.to_string() }]);
        }
        let Some(sandbox) = record.sandbox.as_ref().filter(|sandbox| sandbox.ready) else { return };
        let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false);
        let ips = if host_network { slice::from_ref(&self.host_ip) } else { &sandbox.ips };
        let Some(first) = ips.first() else { return };
        let told = status.pod_ips.as_deref().unwrap_or_default();
        if !shows(status.pod_ip.as_deref(), first)
            || told.len() != ips.len()
            || told.iter().zip(ips).any(|(told, ip)| !shows(Some(&told.ip), ip))
        {
            let status = status.to_mut();
            status.pod_ip = Some(first.to_string());
            status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.to_string() }).collect());
        }
    }

    fn report_failure(
        &self,
        pod: &Pod,
        record: &PodRecord,
        (reason, message): (&str, &str),
        status: &mut Cow<'_, PodStatus>,
    ) {
        set(status, |status| &status.phase, |status| &mut status.phase, "Failed");
        set(status, |status| &status.reason, |status| &mut status.reason, reason);
        set(status, |status| &status.message, |status| &mut status.message, message);
        // What the node refuses was not disrupted: it never ran.
        if [EVICTED, TERMINATED].contains(&reason) && record.grace.is_some() {
            self.report_disruption(pod, message, status);
        }
    }

    /// The statuses of all containers of a kind, if they are not those that were `told`.
    fn containers(
        &self,
        pod: &Pod,
        all: &[Container],
        record: &PodRecord,
        kind: Kind,
        told: &Option<Vec<ContainerStatus>>,
    ) -> Option<Vec<ContainerStatus>> {
        // A pod without any says nothing of them; it has always some that make it up.
        if all.is_empty() && kind != Kind::Main {
            return None;
        }
        let initialized = incomplete_init(pod, record).is_empty();
        let now = || all.iter().map(|container| self.container(pod, container, record, kind, initialized));
        let is_told = |told: &Vec<ContainerStatus>| {
            told.len() == all.len() && now().zip(told).all(|(now, told)| now.is_said_by(told))
        };
        let is_told = told.as_ref().is_some_and(is_told);
        (!is_told).then(|| now().map(Told::into_status).collect())
    }
}

/// Sets a text if it is another.
fn set(
    status: &mut Cow<'_, PodStatus>,
    told: impl Fn(&PodStatus) -> &Option<String>,
    place: impl Fn(&mut PodStatus) -> &mut Option<String>,
    text: &str,
) {
    if told(status).as_deref() != Some(text) {
        *place(status.to_mut()) = Some(text.to_owned());
    }
}
