use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::apiserver::field::Path;

const WITHOUT_EFFECT: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];
const POD_SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const CONTAINER_SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_FIELD: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const APP_ARMOR_FIELD: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";

/// The annotations of a pod or of a template, and where they are.
#[derive(Clone)]
pub(super) struct Annotations<'a> {
    pub(super) found: Option<&'a BTreeMap<String, String>>,
    pub(super) path: Path,
    pub(super) of_template: bool,
}

impl Annotations<'_> {
    fn warning(&self, key: &str, why: &str) -> Option<String> {
        self.found?.contains_key(key).then(|| format!("{}: {why}", self.path.key(key)))
    }

    /// Those that have no effect.
    pub(super) fn without_effect(&self) -> impl Iterator<Item = String> {
        WITHOUT_EFFECT.iter().filter_map(|(key, why)| self.warning(key, why))
    }

    /// The one that a field of the pod stands for now.
    pub(super) fn of_pod(&self, spec: &PodSpec) -> Option<String> {
        let has_field = spec.security_context.as_ref().is_some_and(|context| context.seccomp_profile.is_some());
        if has_field { None } else { self.warning(POD_SECCOMP, SECCOMP_FIELD) }
    }

    /// Those that fields of a container, or of its pod, stand for now.
    pub(super) fn of_container(&self, spec: &PodSpec, container: &Container) -> impl Iterator<Item = String> {
        let (context, of_pod) = (container.security_context.as_ref(), spec.security_context.as_ref());
        let seccomp = context.is_some_and(|context| context.seccomp_profile.is_some());
        let app_armor = context.is_some_and(|context| context.app_armor_profile.is_some())
            || of_pod.is_some_and(|context| context.app_armor_profile.is_some());
        let warning = |prefix: &str, why| self.warning(&format!("{prefix}{}", container.name), why);
        let seccomp = if seccomp { None } else { warning(CONTAINER_SECCOMP, SECCOMP_FIELD) };
        // Those of a pod are turned into the field.
        let app_armor = if app_armor || !self.of_template { None } else { warning(APP_ARMOR, APP_ARMOR_FIELD) };
        seccomp.into_iter().chain(app_armor)
    }
}
