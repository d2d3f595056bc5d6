use std::net::IpAddr;

use jiff::Timestamp;
use k8s_cri::v1;
use orchestra_core::container_runtime::{
    Protocol, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxMetadata, SandboxState, SandboxStatus,
};

use super::{
    security::{sandbox_namespaces, sandbox_security},
    time,
};

pub(in crate::container::cri) fn sandbox_config(config: SandboxConfig) -> v1::PodSandboxConfig {
    let namespaces = sandbox_namespaces(&config);
    let SandboxMetadata { name, namespace, uid, attempt } = config.metadata;
    let port_mappings = config.port_mappings.into_iter().map(|mapping| v1::PortMapping {
        protocol: match mapping.protocol {
            Protocol::Tcp => v1::Protocol::Tcp,
            Protocol::Udp => v1::Protocol::Udp,
            Protocol::Sctp => v1::Protocol::Sctp,
        }
        .into(),
        container_port: mapping.container_port.into(),
        host_port: mapping.host_port.into(),
        host_ip: mapping.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
    });
    let (servers, searches, options) = (config.dns.servers, config.dns.searches, config.dns.options);
    // The node's `resolv.conf` is what a runtime takes if it is told none.
    let is_given = !(servers.is_empty() && searches.is_empty() && options.is_empty());
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata { name, namespace, uid, attempt }),
        hostname: config.hostname,
        log_directory: config.log_directory,
        dns_config: is_given.then_some(v1::DnsConfig { servers, searches, options }),
        port_mappings: port_mappings.collect(),
        labels: config.labels.into_iter().collect(),
        annotations: config.annotations.into_iter().collect(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: config.cgroup_parent,
            security_context: Some(sandbox_security(config.security, namespaces)),
            sysctls: config.sysctls.into_iter().collect(),
            ..v1::LinuxPodSandboxConfig::default()
        }),
        ..v1::PodSandboxConfig::default()
    }
}

pub(in crate::container::cri) fn sandbox_filter(filter: SandboxFilter) -> v1::PodSandboxFilter {
    let state = filter.state.map(|state| match state {
        SandboxState::Ready => v1::PodSandboxState::SandboxReady,
        SandboxState::NotReady => v1::PodSandboxState::SandboxNotready,
    });
    v1::PodSandboxFilter {
        id: filter.id.map(|id| id.to_string()).unwrap_or_default(),
        state: state.map(|state| v1::PodSandboxStateValue { state: state.into() }),
        label_selector: filter.labels.into_iter().collect(),
    }
}

fn metadata(metadata: Option<v1::PodSandboxMetadata>) -> SandboxMetadata {
    let v1::PodSandboxMetadata { name, namespace, uid, attempt } = metadata.unwrap_or_default();
    SandboxMetadata { name, namespace, uid, attempt }
}

fn state(state: v1::PodSandboxState) -> SandboxState {
    match state {
        v1::PodSandboxState::SandboxReady => SandboxState::Ready,
        v1::PodSandboxState::SandboxNotready => SandboxState::NotReady,
    }
}

pub(in crate::container::cri) fn sandbox(sandbox: v1::PodSandbox) -> Sandbox {
    Sandbox {
        state: state(sandbox.state()),
        id: SandboxId(sandbox.id.into()),
        metadata: metadata(sandbox.metadata),
        created_at: time(sandbox.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        labels: sandbox.labels.into_iter().collect(),
        annotations: sandbox.annotations.into_iter().collect(),
    }
}

pub(in crate::container::cri) fn sandbox_status(status: v1::PodSandboxStatus) -> SandboxStatus {
    let state = state(status.state());
    let network = status.network.unwrap_or_default();
    let others = network.additional_ips.into_iter().map(|ip| ip.ip);
    let ips = std::iter::once(network.ip).chain(others);
    SandboxStatus {
        ips: ips.filter_map(|ip| ip.parse::<IpAddr>().ok()).collect(),
        sandbox: Sandbox {
            id: SandboxId(status.id.into()),
            metadata: metadata(status.metadata),
            state,
            created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
            labels: status.labels.into_iter().collect(),
            annotations: status.annotations.into_iter().collect(),
        },
    }
}
