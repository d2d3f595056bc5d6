//! Containers' defaults: termination messages, pull policy, ports, probes, handlers and environment.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EphemeralContainer, HTTPGetAction, LifecycleHandler, ObjectFieldSelector, Probe,
    VolumeMount,
};

use super::{empty, none, off, or, pull_policy, quantities, zero};

macro_rules! container_defaults {
    ($(#[$doc:meta])* $name:ident, $ty:ty) => {
        $(#[$doc])*
        pub(super) fn $name(container: &mut $ty) {
            empty(&mut container.image);
            empty(&mut container.working_dir);
            none(&mut container.command);
            none(&mut container.args);
            none(&mut container.env);
            none(&mut container.env_from);
            none(&mut container.ports);
            none(&mut container.volume_mounts);
            none(&mut container.volume_devices);
            none(&mut container.resize_policy);
            off(&mut container.stdin);
            off(&mut container.stdin_once);
            off(&mut container.tty);
            or(&mut container.termination_message_path, "/dev/termination-log");
            or(&mut container.termination_message_policy, "File");
            or(&mut container.image_pull_policy, pull_policy(container.image.as_deref().unwrap_or_default()));
            quantities::requirements(container.resources.get_or_insert_default());
            container.env.iter_mut().flatten().for_each(env);
            container.ports.iter_mut().flatten().for_each(port);
            container.volume_mounts.iter_mut().flatten().for_each(mount);
            let probes = [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
            probes.into_iter().flatten().for_each(probe);
            if let Some(lifecycle) = &mut container.lifecycle {
                // Kubernetes 1.36 drops it: it is behind a feature gate that is off (KEP-4960).
                lifecycle.stop_signal = None;
                let handlers = [&mut lifecycle.post_start, &mut lifecycle.pre_stop];
                handlers.into_iter().flatten().for_each(handler);
            }
        }
    };
}

container_defaults!(
    /// A container's and an init container's.
    container,
    Container
);
container_defaults!(
    /// An ephemeral container's.
    ephemeral,
    EphemeralContainer
);

fn port(port: &mut ContainerPort) {
    or(&mut port.protocol, "TCP");
    empty(&mut port.name);
    empty(&mut port.host_ip);
    zero(&mut port.host_port);
}

fn mount(mount: &mut VolumeMount) {
    off(&mut mount.read_only);
    empty(&mut mount.sub_path);
    empty(&mut mount.sub_path_expr);
}

fn env(env: &mut EnvVar) {
    empty(&mut env.value);
    let Some(source) = &mut env.value_from else { return };
    if let Some(field) = &mut source.field_ref {
        field_ref(field);
    }
    if let Some(resource) = &mut source.resource_field_ref {
        quantities::divisor(resource);
    }
    if let Some(key) = &mut source.file_key_ref {
        key.optional.get_or_insert(false);
    }
}

/// A reference to a field without a version means `v1`.
pub(super) fn field_ref(field: &mut ObjectFieldSelector) {
    or(&mut field.api_version, "v1");
}

fn probe(probe: &mut Probe) {
    for (field, default) in [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ] {
        zero(field);
        field.get_or_insert(default);
    }
    zero(&mut probe.initial_delay_seconds);
    if let Some(http) = &mut probe.http_get {
        http_get(http);
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn handler(handler: &mut LifecycleHandler) {
    if let Some(http) = &mut handler.http_get {
        http_get(http);
    }
}

fn http_get(action: &mut HTTPGetAction) {
    or(&mut action.path, "/");
    or(&mut action.scheme, "HTTP");
    empty(&mut action.host);
    none(&mut action.http_headers);
}
