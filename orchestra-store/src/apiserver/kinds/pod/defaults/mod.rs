//! What a pod leaves out (`pkg/apis/core/v1/defaults.go`), in the form in which Kubernetes gives it back: quantities
//! canonical, and zero values absent where Go would omit them.

mod container;
mod image;
mod quantities;
mod status;
mod volume;

use k8s_openapi::api::core::v1::{Container, PodSpec};

pub(in crate::apiserver::kinds) use self::quantities::list as resource_list;
pub(super) use self::{image::pull_policy, status::status};

const TERMINATION_GRACE_PERIOD_SECONDS: i64 = 30;

/// The defaults that a template and a pod share.
pub(super) fn spec(spec: &mut PodSpec) {
    without_zeroes(spec);
    or(&mut spec.dns_policy, "ClusterFirst");
    or(&mut spec.restart_policy, "Always");
    or(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(TERMINATION_GRACE_PERIOD_SECONDS);
    account(spec);
    spec.volumes.iter_mut().flatten().for_each(volume::volume);
    spec.containers.iter_mut().for_each(container::container);
    spec.init_containers.iter_mut().flatten().for_each(container::container);
    spec.ephemeral_containers.iter_mut().flatten().for_each(container::ephemeral);
    quantities::list(&mut spec.overhead);
    spec.resources.iter_mut().for_each(quantities::requirements);
}

/// The defaults that only a pod has, not the template it came from.
pub(super) fn pod(pod: &mut PodSpec) {
    spec(pod);
    pod.enable_service_links.get_or_insert(true);
    pod.containers.iter_mut().for_each(quantities::requests_from_limits);
    pod.init_containers.iter_mut().flatten().for_each(quantities::requests_from_limits);
    quantities::pod_requests(pod);
    if pod.host_network == Some(true) {
        pod.containers.iter_mut().for_each(host_ports);
        pod.init_containers.iter_mut().flatten().for_each(host_ports);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are always shown.
fn account(spec: &mut PodSpec) {
    if spec.service_account_name.is_none() {
        spec.service_account_name = spec.service_account.take();
    }
    spec.service_account = spec.service_account_name.clone();
}

/// In the host's network a container's port is the host's.
fn host_ports(container: &mut Container) {
    for port in container.ports.iter_mut().flatten() {
        port.host_port.get_or_insert(port.container_port);
    }
}

fn without_zeroes(spec: &mut PodSpec) {
    empty(&mut spec.dns_policy);
    empty(&mut spec.restart_policy);
    empty(&mut spec.scheduler_name);
    empty(&mut spec.service_account);
    empty(&mut spec.service_account_name);
    empty(&mut spec.node_name);
    empty(&mut spec.hostname);
    empty(&mut spec.subdomain);
    empty(&mut spec.priority_class_name);
    off(&mut spec.host_network);
    off(&mut spec.host_pid);
    off(&mut spec.host_ipc);
    none(&mut spec.volumes);
    none(&mut spec.init_containers);
    none(&mut spec.ephemeral_containers);
    none(&mut spec.image_pull_secrets);
    none(&mut spec.tolerations);
    none(&mut spec.host_aliases);
    none(&mut spec.readiness_gates);
    none(&mut spec.resource_claims);
    none(&mut spec.scheduling_gates);
    none(&mut spec.topology_spread_constraints);
    spec.node_selector.take_if(|labels| labels.is_empty());
}

/// Sets a default.
fn or(field: &mut Option<String>, default: &str) {
    if field.as_deref().is_none_or(str::is_empty) {
        *field = Some(default.to_owned());
    }
}

/// An empty text is an absent one.
fn empty(field: &mut Option<String>) {
    field.take_if(|text| text.is_empty());
}

/// `false` is absent.
fn off(field: &mut Option<bool>) {
    field.take_if(|on| !*on);
}

/// An empty list is absent.
fn none<T>(field: &mut Option<Vec<T>>) {
    field.take_if(|items| items.is_empty());
}

/// A number whose zero is absent.
fn zero<N: Default + PartialEq>(field: &mut Option<N>) {
    field.take_if(|number| *number == N::default());
}
