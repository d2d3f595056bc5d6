use k8s_cri::v1::{self, Int64Value, NamespaceMode, SecurityProfile, security_profile::ProfileType};
use orchestra_core::container_runtime::{
    ContainerSecurity, PidNamespace, RunAs, SandboxConfig, SandboxSecurity, SeccompProfile,
};

/// What the kubelet hides of `/proc` and `/sys` by default.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// What it lets nobody write to.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn sandbox_namespaces(config: &SandboxConfig) -> v1::NamespaceOption {
    let shared = |with_node: bool| if with_node { NamespaceMode::Node } else { NamespaceMode::Pod };
    let mut namespaces = v1::NamespaceOption {
        network: shared(config.host_network).into(),
        ipc: shared(config.host_ipc).into(),
        ..v1::NamespaceOption::default()
    };
    set_pid(&mut namespaces, &config.pid);
    namespaces
}

/// Those of the sandbox, but for the processes.
pub(super) fn container_namespaces(sandbox: &v1::PodSandboxConfig, pid: &PidNamespace) -> v1::NamespaceOption {
    let security = sandbox.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let mut namespaces = security.and_then(|security| security.namespace_options.clone()).unwrap_or_default();
    set_pid(&mut namespaces, pid);
    namespaces
}

fn set_pid(namespaces: &mut v1::NamespaceOption, pid: &PidNamespace) {
    let mode = match pid {
        PidNamespace::Container => NamespaceMode::Container,
        PidNamespace::Pod => NamespaceMode::Pod,
        PidNamespace::Node => NamespaceMode::Node,
        PidNamespace::Target(_) => NamespaceMode::Target,
    };
    namespaces.pid = mode.into();
    namespaces.target_id = match pid {
        PidNamespace::Target(container) => container.to_string(),
        _ => String::new(),
    };
}

pub(super) fn sandbox_security(
    security: SandboxSecurity,
    namespaces: v1::NamespaceOption,
) -> v1::LinuxSandboxSecurityContext {
    let RunAs { user, group, supplemental_groups, .. } = security.run_as;
    v1::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces),
        run_as_user: user.map(|value| Int64Value { value }),
        run_as_group: group.map(|value| Int64Value { value }),
        supplemental_groups,
        privileged: security.privileged,
        readonly_rootfs: security.readonly_rootfs,
        seccomp: Some(seccomp(security.seccomp)),
        ..v1::LinuxSandboxSecurityContext::default()
    }
}

pub(super) fn container_security(
    security: ContainerSecurity,
    namespaces: v1::NamespaceOption,
) -> v1::LinuxContainerSecurityContext {
    let RunAs { user, username, group, supplemental_groups } = security.run_as;
    let texts = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
    let (masked_paths, readonly_paths) =
        if security.unmasked_proc { Default::default() } else { (texts(&MASKED), texts(&READ_ONLY)) };
    v1::LinuxContainerSecurityContext {
        capabilities: Some(v1::Capability {
            add_capabilities: security.add_capabilities,
            drop_capabilities: security.drop_capabilities,
            ..v1::Capability::default()
        }),
        privileged: security.privileged,
        namespace_options: Some(namespaces),
        run_as_user: user.map(|value| Int64Value { value }),
        run_as_group: group.map(|value| Int64Value { value }),
        run_as_username: username,
        readonly_rootfs: security.readonly_rootfs,
        supplemental_groups,
        no_new_privs: security.no_new_privileges,
        masked_paths,
        readonly_paths,
        seccomp: Some(seccomp(security.seccomp)),
        ..v1::LinuxContainerSecurityContext::default()
    }
}

fn seccomp(profile: SeccompProfile) -> SecurityProfile {
    let (profile_type, localhost_ref) = match profile {
        SeccompProfile::Unconfined => (ProfileType::Unconfined, String::new()),
        SeccompProfile::RuntimeDefault => (ProfileType::RuntimeDefault, String::new()),
        SeccompProfile::Localhost(path) => (ProfileType::Localhost, path),
    };
    SecurityProfile { profile_type: profile_type.into(), localhost_ref }
}
