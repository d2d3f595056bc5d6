//! Security contexts.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, PodSpec, SeccompProfile, SecurityContext};

use super::{one_of, ports};
use crate::apiserver::field::{Error, Errors, Path, Shown};

/// How kernel parameters are named, and how long names may be.
const SYSCTL: &str = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const MAX_SYSCTL: usize = 253;

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

pub(super) fn pod(spec: &PodSpec, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if spec.host_network == Some(true) {
        errors.extend(ports::in_host_network(&spec.containers, &path.child("containers")));
    }
    let Some(context) = &spec.security_context else { return errors };
    let path = path.child("securityContext");
    id(context.fs_group, path.child("fsGroup"), &mut errors);
    id(context.run_as_user, path.child("runAsUser"), &mut errors);
    id(context.run_as_group, path.child("runAsGroup"), &mut errors);
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        id(Some(*group), path.child("supplementalGroups").index(index), &mut errors);
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path.child("shareProcessNamespace"), true, why));
    }
    let mut names = HashSet::new();
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let path = path.child("sysctls").index(index).child("name");
        let name = &sysctl.name;
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if !is_sysctl(name) {
            let why = format!("must have at most {MAX_SYSCTL} characters and match regex {SYSCTL}");
            errors.push(Error::invalid(&path, name, why));
        } else if names.contains(name) {
            errors.push(Error::duplicate(&path, name));
        }
        errors.extend(of_the_host(name, spec).map(|why| Error::invalid(&path, name, why)));
        names.insert(name);
    }
    if let Some(policy) = &context.fs_group_change_policy {
        one_of(&path.child("fsGroupChangePolicy"), Some(policy), &["Always", "OnRootMismatch"], &mut errors);
    }
    seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), &mut errors);
    app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), &mut errors);
    if let Some(policy) = &context.supplemental_groups_policy {
        one_of(&path.child("supplementalGroupsPolicy"), Some(policy), &["Merge", "Strict"], &mut errors);
    }
    errors
}

/// Whether it is the name of a kernel parameter: words of small letters, digits, dashes and underscores between dots or slashes.
fn is_sysctl(name: &str) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_word = |word: &str| {
        let bytes = word.as_bytes();
        bytes.first().is_some_and(is_end)
            && bytes.last().is_some_and(is_end)
            && bytes.iter().all(|byte| is_end(byte) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= MAX_SYSCTL && name.split(['.', '/']).all(is_word)
}

/// Why a pod may not set a parameter of namespaces that it shares with the node (`ValidateHostSysctl`).
fn of_the_host(name: &str, spec: &PodSpec) -> Option<&'static str> {
    let name = name.replace('/', ".");
    let is_of = |names: &[&str], groups: &[&str]| {
        names.contains(&name.as_str()) || groups.iter().any(|group| name.starts_with(group))
    };
    match () {
        () if spec.host_ipc == Some(true) && is_of(&["kernel.sem"], &["kernel.shm", "kernel.msg", "fs.mqueue."]) => {
            Some("may not be specified when 'hostIPC' is true")
        }
        () if spec.host_network == Some(true) && is_of(&[], &["net."]) => {
            Some("may not be specified when 'hostNetwork' is true")
        }
        () => None,
    }
}

/// A container sees all of `/proc` only where its users are none of the node's.
pub(super) fn unmasked(container: &Container, spec: &PodSpec, path: &Path) -> Option<Error> {
    let mount = container.security_context.as_ref()?.proc_mount.as_deref().filter(|mount| *mount == "Unmasked")?;
    let path = path.child("securityContext").child("procMount");
    let why = "`hostUsers` must be false to use `Unmasked`";
    (spec.host_users != Some(false)).then(|| Error::invalid(&path, mount, why))
}

pub(super) fn container(context: &SecurityContext, path: &Path) -> Errors {
    let mut errors = Errors::new();
    id(context.run_as_user, path.child("runAsUser"), &mut errors);
    id(context.run_as_group, path.child("runAsGroup"), &mut errors);
    if let Some(mount) = &context.proc_mount {
        one_of(&path.child("procMount"), Some(mount), &["Default", "Unmasked"], &mut errors);
    }
    seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), &mut errors);
    if context.allow_privilege_escalation == Some(false) {
        let shown = || Shown::json(context);
        if context.privileged == Some(true) {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(Error::invalid(path, shown(), why));
        }
        let added = context.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
        for _ in added.filter(|capability| *capability == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(Error::invalid(path, shown(), why));
        }
    }
    app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), &mut errors);
    errors
}

/// A user or group.
fn id(id: Option<i64>, path: Path, errors: &mut Errors) {
    if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        errors.push(Error::invalid(&path, id, "must be between 0 and 2147483647, inclusive"));
    }
}

fn seccomp(profile: Option<&SeccompProfile>, path: &Path, errors: &mut Errors) {
    let Some(SeccompProfile { type_, localhost_profile }) = profile else { return };
    match (type_.as_str(), localhost_profile) {
        ("", _) => errors.push(Error::required(&path.child("type"), "type is required when seccompProfile is set")),
        ("Localhost", None) => {
            let why = "must be set when seccomp type is Localhost";
            errors.push(Error::required(&path.child("localhostProfile"), why));
        }
        ("RuntimeDefault" | "Unconfined", Some(profile)) => {
            let why = "can only be set when seccomp type is Localhost";
            errors.push(Error::invalid(&path.child("localhostProfile"), profile, why));
        }
        (kind, _) if !PROFILES.contains(&kind) => {
            errors.push(Error::not_supported(&path.child("type"), kind, &PROFILES));
        }
        _ => {}
    }
}

fn app_armor(profile: Option<&AppArmorProfile>, path: &Path, errors: &mut Errors) {
    let Some(AppArmorProfile { type_, localhost_profile }) = profile else { return };
    match (type_.as_str(), localhost_profile) {
        ("", _) => errors.push(Error::required(&path.child("type"), "type is required when appArmorProfile is set")),
        ("Localhost", None) => {
            let why = "must be set when AppArmor type is Localhost";
            errors.push(Error::required(&path.child("localhostProfile"), why));
        }
        ("RuntimeDefault" | "Unconfined", Some(profile)) => {
            let why = "can only be set when AppArmor type is Localhost";
            errors.push(Error::invalid(&path.child("localhostProfile"), profile, why));
        }
        (kind, _) if !PROFILES.contains(&kind) => {
            errors.push(Error::not_supported(&path.child("type"), kind, &PROFILES));
        }
        _ => {}
    }
}
