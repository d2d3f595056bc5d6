//! What containers may do: the security contexts of pod and container as one (`pkg/securitycontext`).

use std::path::Path;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, Pod, PodSecurityContext, SeccompProfile as ApiProfile, SecurityContext,
};
use orchestra_core::container_runtime::{ContainerSecurity, PidNamespace, RunAs, SandboxSecurity, SeccompProfile};

/// What counts for a container: its own word where it has one, else the pod's.
pub(super) struct Effective<'a> {
    pod: Option<&'a PodSecurityContext>,
    own: Option<&'a SecurityContext>,
    pub(super) run_as_user: Option<i64>,
    pub(super) run_as_group: Option<i64>,
    pub(super) run_as_non_root: Option<bool>,
}

impl<'a> Effective<'a> {
    pub(super) fn of(pod: &'a Pod, container: &'a Container) -> Self {
        let pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let own = container.security_context.as_ref();
        Self {
            run_as_user: own.and_then(|own| own.run_as_user).or_else(|| pod?.run_as_user),
            run_as_group: own.and_then(|own| own.run_as_group).or_else(|| pod?.run_as_group),
            run_as_non_root: own.and_then(|own| own.run_as_non_root).or_else(|| pod?.run_as_non_root),
            pod,
            own,
        }
    }

    pub(super) fn supplemental_groups(&self) -> Vec<i64> {
        self.pod.map(supplemental_groups).unwrap_or_default()
    }

    /// What the container may do, as `run_as`. Profiles of the node lie in the folder `profiles`.
    pub(super) fn security(&self, run_as: RunAs, profiles: &Path) -> ContainerSecurity {
        let own = self.own;
        let capabilities = own.and_then(|own| own.capabilities.as_ref());
        let list = |of: fn(&Capabilities) -> &Option<Vec<String>>| {
            capabilities.and_then(|capabilities| of(capabilities).clone()).unwrap_or_default()
        };
        let profile = own.and_then(|own| own.seccomp_profile.as_ref()).or_else(|| self.pod?.seccomp_profile.as_ref());
        ContainerSecurity {
            run_as,
            privileged: own.and_then(|own| own.privileged).unwrap_or(false),
            readonly_rootfs: own.and_then(|own| own.read_only_root_filesystem).unwrap_or(false),
            no_new_privileges: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
            add_capabilities: list(|capabilities| &capabilities.add),
            drop_capabilities: list(|capabilities| &capabilities.drop),
            seccomp: profile.map(|profile| seccomp(profile, profiles)).unwrap_or_default(),
            unmasked_proc: own.and_then(|own| own.proc_mount.as_deref()) == Some("Unmasked"),
        }
    }
}

fn seccomp(profile: &ApiProfile, profiles: &Path) -> SeccompProfile {
    match profile.type_.as_str() {
        "RuntimeDefault" => SeccompProfile::RuntimeDefault,
        "Localhost" => {
            let file = profiles.join(profile.localhost_profile.as_deref().unwrap_or_default());
            SeccompProfile::Localhost(file.display().to_string())
        }
        _ => SeccompProfile::Unconfined,
    }
}

/// The group that owns the pod's volumes, and those that the pod names.
fn supplemental_groups(context: &PodSecurityContext) -> Vec<i64> {
    context.fs_group.into_iter().chain(context.supplemental_groups.iter().flatten().copied()).collect()
}

/// What the pod's sandbox may do.
pub(super) fn of_sandbox(pod: &Pod) -> SandboxSecurity {
    let spec = pod.spec.as_ref();
    let context = spec.and_then(|spec| spec.security_context.as_ref());
    let all = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let is_privileged =
        |container: &Container| container.security_context.as_ref().and_then(|own| own.privileged) == Some(true);
    SandboxSecurity {
        run_as: RunAs {
            user: context.and_then(|context| context.run_as_user),
            username: String::new(),
            // A group needs a user beside it.
            group: context.filter(|context| context.run_as_user.is_some()).and_then(|context| context.run_as_group),
            supplemental_groups: context.map(supplemental_groups).unwrap_or_default(),
        },
        privileged: all.into_iter().any(is_privileged),
        readonly_rootfs: false,
        seccomp: SeccompProfile::RuntimeDefault,
    }
}

/// Which processes the pod's containers see.
pub(super) fn pid(pod: &Pod) -> PidNamespace {
    let spec = pod.spec.as_ref();
    if spec.and_then(|spec| spec.host_pid) == Some(true) {
        PidNamespace::Node
    } else if spec.and_then(|spec| spec.share_process_namespace) == Some(true) {
        PidNamespace::Pod
    } else {
        PidNamespace::Container
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::testing::{container, pod},
        *,
    };

    fn of(of_pod: Value, of_container: Value) -> ContainerSecurity {
        let (pod, container) =
            (pod(json!({ "securityContext": of_pod })), container(json!({ "securityContext": of_container })));
        Effective::of(&pod, &container).security(RunAs::default(), Path::new("/profiles"))
    }

    #[test]
    fn contexts_of_pod_and_container_are_one() {
        let nothing = of(json!({}), json!({}));
        assert_eq!(nothing, ContainerSecurity::default());
        let all = of(
            json!({ "seccompProfile": { "type": "RuntimeDefault" } }),
            json!({
                "privileged": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
                "capabilities": { "add": ["NET_ADMIN"], "drop": ["ALL"] }, "procMount": "Unmasked",
            }),
        );
        assert!(all.privileged && all.readonly_rootfs && all.no_new_privileges && all.unmasked_proc);
        assert_eq!(
            (all.add_capabilities, all.drop_capabilities),
            (vec!["NET_ADMIN".to_owned()], vec!["ALL".to_owned()])
        );
        assert_eq!(all.seccomp, SeccompProfile::RuntimeDefault);
        let local = json!({ "seccompProfile": { "type": "Localhost", "localhostProfile": "a/b.json" } });
        let own = of(json!({ "seccompProfile": { "type": "RuntimeDefault" } }), local);
        assert_eq!(own.seccomp, SeccompProfile::Localhost("/profiles/a/b.json".to_owned()));
        assert!(!of(json!({}), json!({ "allowPrivilegeEscalation": true })).no_new_privileges);
    }

    #[test]
    fn processes_are_shared_as_the_pod_says() {
        assert_eq!(pid(&pod(json!({}))), PidNamespace::Container);
        assert_eq!(pid(&pod(json!({ "shareProcessNamespace": true }))), PidNamespace::Pod);
        assert_eq!(pid(&pod(json!({ "shareProcessNamespace": true, "hostPID": true }))), PidNamespace::Node);
    }

    #[test]
    fn a_sandbox_may_what_its_containers_need() {
        let sandbox = of_sandbox(&pod(json!({
            "securityContext": { "runAsGroup": 2, "fsGroup": 3 },
            "initContainers": [{ "name": "i", "securityContext": { "privileged": true } }],
        })));
        assert!(sandbox.privileged);
        assert_eq!((sandbox.run_as.group, sandbox.run_as.supplemental_groups), (None, vec![3]));
    }
}
