use jiff::Timestamp;
use k8s_cri::v1;
use orchestra_core::container_runtime::{
    Container, ContainerConfig, ContainerFilter, ContainerId, ContainerMetadata, ContainerResources, ContainerState,
    ContainerStats, ContainerStatus, ImageSpec, Mount, MountPropagation, SandboxId,
};

use super::{
    image::image_spec,
    security::{container_namespaces, container_security},
    time,
};

pub(in crate::container::cri) fn container_config(
    config: ContainerConfig,
    sandbox: &v1::PodSandboxConfig,
) -> v1::ContainerConfig {
    let namespaces = container_namespaces(sandbox, &config.pid);
    v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: config.metadata.name, attempt: config.metadata.attempt }),
        image: Some(image_spec(&config.image)),
        command: config.command,
        args: config.args,
        working_dir: config.working_dir,
        envs: config.env.into_iter().map(|(key, value)| v1::KeyValue { key, value }).collect(),
        mounts: config.mounts.into_iter().map(mount).collect(),
        labels: config.labels.into_iter().collect(),
        annotations: config.annotations.into_iter().collect(),
        log_path: config.log_path,
        stdin: config.stdin,
        stdin_once: config.stdin_once,
        tty: config.tty,
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(resources(&config.resources)),
            security_context: Some(container_security(config.security, namespaces)),
        }),
        ..v1::ContainerConfig::default()
    }
}

fn mount(mount: Mount) -> v1::Mount {
    let propagation = match mount.propagation {
        MountPropagation::Private => v1::MountPropagation::PropagationPrivate,
        MountPropagation::HostToContainer => v1::MountPropagation::PropagationHostToContainer,
        MountPropagation::Bidirectional => v1::MountPropagation::PropagationBidirectional,
    };
    v1::Mount {
        container_path: mount.container_path,
        host_path: mount.host_path,
        readonly: mount.readonly,
        propagation: propagation.into(),
        ..v1::Mount::default()
    }
}

pub(in crate::container::cri) fn resources(resources: &ContainerResources) -> v1::LinuxContainerResources {
    v1::LinuxContainerResources {
        cpu_shares: i64::try_from(resources.cpu_shares).unwrap_or(i64::MAX),
        cpu_quota: resources.cpu_quota,
        cpu_period: resources.cpu_period,
        memory_limit_in_bytes: resources.memory_limit,
        memory_swap_limit_in_bytes: resources.memory_swap_limit,
        oom_score_adj: resources.oom_score_adj.into(),
        unified: resources.unified.clone().into_iter().collect(),
        hugepage_limits: resources.huge_pages.iter().map(hugepage_limit).collect(),
        ..v1::LinuxContainerResources::default()
    }
}

fn hugepage_limit((page_size, limit): (&String, &u64)) -> v1::HugepageLimit {
    v1::HugepageLimit { page_size: page_size.clone(), limit: *limit }
}

pub(in crate::container::cri) fn container_filter(filter: ContainerFilter) -> v1::ContainerFilter {
    let state = filter.state.map(|state| match state {
        ContainerState::Created => v1::ContainerState::ContainerCreated,
        ContainerState::Running => v1::ContainerState::ContainerRunning,
        ContainerState::Exited => v1::ContainerState::ContainerExited,
        ContainerState::Unknown => v1::ContainerState::ContainerUnknown,
    });
    v1::ContainerFilter {
        id: filter.id.map(|id| id.to_string()).unwrap_or_default(),
        state: state.map(|state| v1::ContainerStateValue { state: state.into() }),
        pod_sandbox_id: filter.sandbox.map(|id| id.to_string()).unwrap_or_default(),
        label_selector: filter.labels.into_iter().collect(),
    }
}

pub(in crate::container::cri) fn state(state: v1::ContainerState) -> ContainerState {
    match state {
        v1::ContainerState::ContainerCreated => ContainerState::Created,
        v1::ContainerState::ContainerRunning => ContainerState::Running,
        v1::ContainerState::ContainerExited => ContainerState::Exited,
        v1::ContainerState::ContainerUnknown => ContainerState::Unknown,
    }
}

pub(in crate::container::cri) fn container(container: v1::Container) -> Container {
    let state = state(container.state());
    let metadata = container.metadata.unwrap_or_default();
    let image = container.image.unwrap_or_default();
    // containerd gives the image that it found for the name that was asked for.
    let name = if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image };
    Container {
        id: ContainerId(container.id.into()),
        sandbox: SandboxId(container.pod_sandbox_id.into()),
        metadata: ContainerMetadata { name: metadata.name, attempt: metadata.attempt },
        image: ImageSpec(name),
        image_ref: container.image_ref,
        state,
        created_at: time(container.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        labels: container.labels.into_iter().collect(),
        annotations: container.annotations.into_iter().collect(),
    }
}

/// `container` is what the list tells.
pub(in crate::container::cri) fn container_status(
    container: Container,
    status: v1::ContainerStatus,
) -> ContainerStatus {
    let (started_at, finished_at) = (time(status.started_at), time(status.finished_at));
    ContainerStatus {
        container: Container { state: state(status.state()), ..container },
        image_ref: status.image_ref,
        // containerd notes the start after it: a process may have ended by then.
        started_at: started_at.map(|start| finished_at.map_or(start, |end| start.min(end))),
        finished_at,
        exit_code: status.exit_code,
        reason: status.reason,
        message: status.message,
        ready: None,
    }
}

/// `None` without a container's id.
pub(in crate::container::cri) fn container_stats(stats: v1::ContainerStats) -> Option<ContainerStats> {
    let container = ContainerId(stats.attributes?.id.into());
    let (cpu, memory) = (stats.cpu.unwrap_or_default(), stats.memory.unwrap_or_default());
    Some(ContainerStats {
        container,
        at: time(cpu.timestamp.max(memory.timestamp)).unwrap_or(Timestamp::UNIX_EPOCH),
        cpu_usage_nanos: cpu.usage_core_nano_seconds.unwrap_or_default().value,
        memory_working_set: memory.working_set_bytes.unwrap_or_default().value,
        writable_layer_bytes: stats.writable_layer.and_then(|layer| layer.used_bytes).unwrap_or_default().value,
    })
}
