//! Containers and init containers.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, PodSpec};

use super::{env, invalid, lifecycle, mounts, one_of, ports, probe, required, resources, security};
use crate::apiserver::{
    field::{Error, Errors, Path},
    validation::name,
};

const NOT_FOR_INIT: &str = "may not be set for init containers without restartPolicy=Always";

/// The most rules for the restart of a container, and exit codes in one.
const MAX_RULES: usize = 20;
const MAX_CODES: usize = 255;

/// The volumes that containers may mount.
pub(in crate::apiserver::kinds::pod) type Volumes<'a> = HashSet<&'a str>;

pub(super) fn containers(spec: &PodSpec, volumes: &Volumes<'_>, path: &Path, errors: &mut Errors) {
    let list = path.child("containers");
    if spec.containers.is_empty() {
        errors.push(Error::required(&list, ""));
    }
    let mut names = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let path = list.index(index);
        errors.extend(common(container, volumes, &path));
        if !names.insert(container.name.as_str()) {
            errors.push(Error::duplicate(&path.child("name"), &container.name));
        }
        errors.extend(security::unmasked(container, spec, &path));
        long_running(container, spec, &path, errors);
        restart_policy(container, &path, errors);
        resize_policy(container, spec, &path.child("resizePolicy"), errors);
    }
    ports::host_conflicts(&spec.containers, &list, errors);
    init_containers(spec, names, volumes, &path.child("initContainers"), errors);
}

fn init_containers<'a>(
    spec: &'a PodSpec,
    mut names: BTreeSet<&'a str>,
    volumes: &Volumes<'_>,
    list: &Path,
    errors: &mut Errors,
) {
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        let path = list.index(index);
        errors.extend(common(container, volumes, &path));
        errors.extend(security::unmasked(container, spec, &path));
        restart_policy(container, &path, errors);
        resize_policy(container, spec, &path.child("resizePolicy"), errors);
        if !names.insert(container.name.as_str()) && !container.name.is_empty() {
            errors.push(Error::duplicate(&path.child("name"), &container.name));
        }
        ports::host_conflicts(std::slice::from_ref(container), list, errors);
        if container.restart_policy.as_deref() == Some("Always") {
            long_running(container, spec, &path, errors);
            continue;
        }
        let forbidden = [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ];
        for (field, _) in forbidden.into_iter().filter(|(_, set)| *set) {
            errors.push(Error::forbidden(&path.child(field), NOT_FOR_INIT));
        }
    }
}

/// What only containers that go on running have.
fn long_running(container: &Container, spec: &PodSpec, path: &Path, errors: &mut Errors) {
    let grace = spec.termination_grace_period_seconds.unwrap_or_default();
    if let Some(rules) = &container.lifecycle {
        errors.extend(lifecycle::lifecycle(rules, grace, &path.child("lifecycle")));
    }
    if let Some(rules) = &container.liveness_probe {
        errors.extend(probe::must_succeed_once(rules, &path.child("livenessProbe")));
    }
    if let Some(rules) = &container.readiness_probe {
        errors.extend(probe::readiness(rules, &path.child("readinessProbe")));
    }
    if let Some(rules) = &container.startup_probe {
        errors.extend(probe::must_succeed_once(rules, &path.child("startupProbe")));
    }
}

fn restart_policy(container: &Container, path: &Path, errors: &mut Errors) {
    if let Some(policy) = &container.restart_policy {
        one_of(&path.child("restartPolicy"), Some(policy), &["Always", "Never", "OnFailure"], errors);
    }
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    if container.restart_policy.is_none() && !rules.is_empty() {
        let why = "must specify restartPolicy when restart rules are used";
        errors.push(Error::required(&path.child("restartPolicy"), why));
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > MAX_RULES {
        errors.push(Error::too_many(&path, rules.len(), MAX_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        restart_rule(rule, &path.index(index), errors);
    }
}

/// When a container restarts, whatever its policy says (`validateContainerRestartPolicy`).
fn restart_rule(rule: &ContainerRestartRule, path: &Path, errors: &mut Errors) {
    one_of(&path.child("action"), Some(&rule.action), &["Restart"], errors);
    let path = path.child("exitCodes");
    let Some(codes) = &rule.exit_codes else {
        errors.push(Error::required(&path, "must be specified"));
        return;
    };
    one_of(&path.child("operator"), Some(&codes.operator), &["In", "NotIn"], errors);
    let count = codes.values.as_ref().map_or(0, Vec::len);
    if count > MAX_CODES {
        errors.push(Error::too_many(&path.child("values"), count, MAX_CODES));
    }
}

/// How a container takes other resources: at most one way for each (`validateResizePolicy`).
fn resize_policy(container: &Container, spec: &PodSpec, path: &Path, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, policy) in container.resize_policy.iter().flatten().enumerate() {
        if !seen.insert(&policy.resource_name) {
            errors.push(Error::duplicate(&path.index(index), &policy.resource_name));
        }
        one_of(path, Some(&policy.resource_name), &["cpu", "memory"], errors);
        one_of(path, Some(&policy.restart_policy), &["NotRequired", "RestartContainer"], errors);
        if spec.restart_policy.as_deref() == Some("Never") && policy.restart_policy != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, &policy.restart_policy, why));
        }
    }
}

/// What holds for every container.
pub(in crate::apiserver::kinds::pod) fn common(container: &Container, volumes: &Volumes<'_>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let name_path = path.child("name");
    match container.name.as_str() {
        "" => errors.push(Error::required(&name_path, "")),
        name => errors.extend(invalid(&name_path, name, name::label(name, false))),
    }
    required(path.child("image"), container.image.as_deref(), &mut errors);
    let policies = ["File", "FallbackToLogsOnError"];
    let policy = container.termination_message_policy.as_ref();
    one_of(&path.child("terminationMessagePolicy"), policy, &policies, &mut errors);
    errors.extend(ports::ports(container, &path.child("ports")));
    errors.extend(env::env(container, &path.child("env")));
    errors.extend(env::from(container, &path.child("envFrom")));
    errors.extend(mounts::mounts(container, volumes, &path.child("volumeMounts")));
    errors.extend(mounts::devices(container, volumes, &path.child("volumeDevices")));
    let policy = container.image_pull_policy.as_ref();
    one_of(&path.child("imagePullPolicy"), policy, &["Always", "IfNotPresent", "Never"], &mut errors);
    if let Some(resources) = &container.resources {
        errors.extend(resources::requirements(resources, &path.child("resources")));
    }
    if let Some(context) = &container.security_context {
        errors.extend(security::container(context, &path.child("securityContext")));
    }
    errors
}
