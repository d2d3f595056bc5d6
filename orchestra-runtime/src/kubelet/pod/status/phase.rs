//! A pod's phase.

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::kubelet::pod::{containers, init_containers, is_sidecar, record::PodRecord, restart::restarts};

/// The init containers that still have to end (sidecars: to come up). None is missed once one of the pod's containers began.
pub(super) fn incomplete_init<'a>(pod: &'a Pod, record: &PodRecord) -> Vec<&'a str> {
    let known = |container: &Container| record.container(&container.name);
    if containers(pod).iter().any(|container| known(container).is_some_and(|known| known.current.is_some())) {
        return Vec::new();
    }
    let complete = |container: &Container| {
        if is_sidecar(container) {
            known(container).is_some_and(|known| known.has_started(container))
        } else {
            record.exit(&container.name) == Some(0)
        }
    };
    init_containers(pod).iter().filter(|container| !complete(container)).map(|c| c.name.as_str()).collect()
}

/// Whether nothing of the pod starts any more and all has stopped.
pub(super) fn is_ending(pod: &Pod, record: &PodRecord) -> bool {
    (pod.metadata.deletion_timestamp.is_some() || record.gone)
        && containers(pod).iter().all(|container| !record.is_running(&container.name))
}

/// Kubernetes' phase: `getPhase` in `pkg/kubelet/kubelet_pods.go`.
pub(super) fn phase(pod: &Pod, record: &PodRecord, ending: bool) -> &'static str {
    for container in incomplete_init(pod, record) {
        let of_name = |init: &&Container| init.name == container;
        let Some(container) = init_containers(pod).iter().find(of_name).filter(|init| !is_sidecar(init)) else {
            continue;
        };
        match record.exit(&container.name) {
            Some(code) if !restarts(pod, container, code) => return "Failed",
            _ if ending => {}
            _ => return "Pending",
        }
    }
    let (mut running, mut stopped, mut succeeded, mut restarting, mut waiting) = (0, 0, 0, 0, 0);
    for container in containers(pod) {
        let known = record.container(&container.name);
        if known.is_some_and(|known| known.running().is_some() || (known.again.is_some() && !ending)) {
            running += 1;
        } else if let Some(code) = known.and_then(|known| known.current.as_ref()?.exit()) {
            stopped += 1;
            succeeded += usize::from(code == 0);
            restarting += usize::from(restarts(pod, container, code));
        } else {
            waiting += 1;
        }
    }
    match () {
        () if waiting > 0 && !ending => "Pending",
        () if running > 0 => "Running",
        () if stopped == 0 => "Pending",
        () if ending && stopped == succeeded && waiting == 0 => "Succeeded",
        () if ending => "Failed",
        () if restarting > 0 => "Running",
        () if stopped == succeeded => "Succeeded",
        () => "Failed",
    }
}
