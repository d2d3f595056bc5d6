//! The parts of a pod's status that Kubernetes always shows, and the two forms of its addresses kept alike.

use k8s_openapi::api::core::v1::{ContainerStatus, PodIP, PodStatus};

/// Completes a status that a client sent.
pub(in crate::apiserver::kinds::pod) fn status(status: &mut PodStatus) {
    super::empty(&mut status.pod_ip);
    super::empty(&mut status.nominated_node_name);
    addresses(status);
    let lists =
        [&mut status.container_statuses, &mut status.init_container_statuses, &mut status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().for_each(container);
}

fn container(status: &mut ContainerStatus) {
    status.state.get_or_insert_default();
    status.last_state.get_or_insert_default();
}

/// `podIP` is the first of `podIPs`, and wins when they differ.
fn addresses(status: &mut PodStatus) {
    let first = status.pod_ips.iter().flatten().next().map(|address| address.ip.clone());
    match (&status.pod_ip, first) {
        (Some(ip), first) if first.as_ref() != Some(ip) => status.pod_ips = Some(vec![PodIP { ip: ip.clone() }]),
        (None, first) => status.pod_ip = first,
        _ => {}
    }
}
