//! The pod's own fields.

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::{
    affinity, claims, container, dns, invalid, one_of, os, resources, scheduling, security, tolerations, volumes,
};
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::{ip, label_selector, name},
};

pub(super) fn validate(spec: &PodSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let volumes = volumes::volumes(spec.volumes.as_deref().unwrap_or_default(), &path.child("volumes"), &mut errors);
    errors.extend(claims::validate(spec, path));
    container::containers(spec, &volumes, path, &mut errors);
    if let Some(resources) = &spec.resources {
        errors.extend(resources::requirements(resources, &path.child("resources")));
    }
    policies(spec, path, &mut errors);
    if let Some(labels) = &spec.node_selector {
        errors.extend(label_selector::labels(labels, &path.child("nodeSelector")));
    }
    errors.extend(security::pod(spec, path));
    if let Some(rules) = &spec.affinity {
        errors.extend(affinity::affinity(rules, &path.child("affinity")));
    }
    errors.extend(dns::config(spec, &path.child("dnsConfig")));
    errors.extend(scheduling::readiness_gates(spec, &path.child("readinessGates")));
    errors.extend(scheduling::gates(spec, &path.child("schedulingGates")));
    errors.extend(scheduling::group(spec, &path.child("schedulingGroup")));
    errors.extend(scheduling::spread(spec, &path.child("topologySpreadConstraints")));
    names(spec, path, &mut errors);
    if let Some(list) = &spec.tolerations {
        errors.extend(tolerations(list, &path.child("tolerations")));
    }
    host_aliases(spec, &path.child("hostAliases"), &mut errors);
    classes(spec, path, &mut errors);
    errors
}

/// Checks that Kubernetes makes of pods only, since templates that break them are already out there.
pub(super) fn pod_only(spec: &PodSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if spec.service_account_name.is_none() {
        errors.extend(volumes::tokens(spec.volumes.as_deref().unwrap_or_default(), &path.child("volumes")));
    }
    errors.extend(volumes::images(spec.volumes.as_deref().unwrap_or_default(), &path.child("volumes")));
    trimmed_images(&spec.containers, &path.child("containers"), &mut errors);
    trimmed_images(spec.init_containers.as_deref().unwrap_or_default(), &path.child("initContainers"), &mut errors);
    errors
}

fn trimmed_images(containers: &[Container], path: &Path, errors: &mut Errors) {
    for (index, image) in containers.iter().enumerate().filter_map(|(i, c)| Some((i, c.image.as_ref()?))) {
        if image.trim().len() != image.len() {
            let path = path.index(index).child("image");
            errors.push(Error::invalid(&path, image, "must not have leading or trailing whitespace"));
        }
    }
}

fn policies(spec: &PodSpec, path: &Path, errors: &mut Errors) {
    let lists: [(&str, Option<&String>, &[&str]); 2] = [
        ("restartPolicy", spec.restart_policy.as_ref(), &["Always", "OnFailure", "Never"]),
        ("dnsPolicy", spec.dns_policy.as_ref(), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]),
    ];
    for (field, value, supported) in lists {
        one_of(&path.child(field), value, supported, errors);
    }
}

/// Fields that hold one name or number each.
fn names(spec: &PodSpec, path: &Path, errors: &mut Errors) {
    let mut check = |field: &str, value: &Option<String>, rule: fn(&str, bool) -> Option<String>| {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            errors.extend(invalid(&path.child(field), value, rule(value, false)));
        }
    };
    check("serviceAccountName", &spec.service_account_name, name::subdomain);
    check("nodeName", &spec.node_name, name::subdomain);
    if let Some(seconds) = spec.active_deadline_seconds.filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds)) {
        let path = path.child("activeDeadlineSeconds");
        errors.push(Error::invalid(&path, seconds, "must be between 1 and 2147483647, inclusive"));
    }
    let mut check = |field: &str, value: &Option<String>| {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            errors.extend(invalid(&path.child(field), value, name::label(value, false)));
        }
    };
    check("hostname", &spec.hostname);
    check("subdomain", &spec.subdomain);
}

fn host_aliases(spec: &PodSpec, path: &Path, errors: &mut Errors) {
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = path.index(index);
        errors.extend(ip::error(&path.child("ip"), &alias.ip));
        for hostname in alias.hostnames.iter().flatten() {
            errors.extend(invalid(&path.child("hostnames"), hostname, name::subdomain(hostname, false)));
        }
    }
}

fn classes(spec: &PodSpec, path: &Path, errors: &mut Errors) {
    if let Some(class) = &spec.priority_class_name {
        errors.extend(invalid(&path.child("priorityClassName"), class, name::subdomain(class, false)));
    }
    if let Some(class) = &spec.runtime_class_name {
        errors.extend(invalid(&path.child("runtimeClassName"), class, name::subdomain(class, false)));
    }
    if let Some(policy) = &spec.preemption_policy {
        let supported = ["PreemptLowerPriority", "Never"];
        if !supported.contains(&policy.as_str()) {
            errors.push(Error::not_supported(&path.child("preemptionPolicy"), policy, &supported));
        }
    }
    if let Some(overhead) = &spec.overhead {
        errors.extend(resources::list(overhead, &path.child("overhead").child("limits")));
    }
    if let Some(os) = &spec.os {
        errors.extend(os::validate(&os.name, spec, path));
    }
    if spec.host_users == Some(false) {
        let shared = [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)];
        for (field, _) in shared.into_iter().filter(|(_, on)| *on == Some(true)) {
            errors.push(Error::forbidden(&path.child(field), "when `hostUsers` is false"));
        }
    }
    if let Some(override_) = spec.hostname_override.as_ref().filter(|name| !name.is_empty()) {
        errors.extend(invalid(&path.child("hostnameOverride"), override_, name::subdomain(override_, false)));
    }
}
