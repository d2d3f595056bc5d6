//! What a cluster has many of, kept in little room.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Gives back the room that lists have left since they were decoded: growing by doubling, they hold up to four times what is in
/// them, which is a third of a pod.
pub(super) fn pod(pod: &mut Pod) {
    fn shrink<T>(list: &mut Option<Vec<T>>) {
        if let Some(list) = list {
            list.shrink_to_fit();
        }
    }
    if let Some(spec) = &mut pod.spec {
        spec.containers.shrink_to_fit();
        shrink(&mut spec.init_containers);
        shrink(&mut spec.tolerations);
        shrink(&mut spec.volumes);
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            shrink(&mut container.env);
            shrink(&mut container.ports);
            shrink(&mut container.volume_mounts);
        }
        let projected = spec.volumes.iter_mut().flatten().filter_map(|volume| volume.projected.as_mut());
        projected.for_each(|projected| shrink(&mut projected.sources));
    }
    if let Some(status) = &mut pod.status {
        let containers = status.container_statuses.iter_mut().chain(&mut status.init_container_statuses).flatten();
        containers.for_each(|container| shrink(&mut container.volume_mounts));
        shrink(&mut status.pod_ips);
        shrink(&mut status.host_ips);
        let statuses: [&mut Option<Vec<ContainerStatus>>; 2] =
            [&mut status.container_statuses, &mut status.init_container_statuses];
        statuses.into_iter().for_each(shrink);
        shrink(&mut status.conditions);
    }
}
