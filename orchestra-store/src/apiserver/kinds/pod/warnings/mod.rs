//! What the server warns of in a pod or in a template of pods (`pkg/api/pod/warnings.go`), in Kubernetes' order.

mod annotations;
mod container;
mod overlaps;
mod placement;
mod ports;
mod volumes;

use std::collections::HashSet;

use k8s_openapi::{
    api::core::v1::{Container, PodSpec, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use self::annotations::Annotations;
use crate::apiserver::{
    field::Path,
    validation::{ip, name},
};

/// What is odd about a pod.
pub(in crate::apiserver::kinds) fn pod(pod: &PodSpec, metadata: &ObjectMeta) -> Vec<String> {
    let path = Path::new("metadata").child("annotations");
    let annotations = Annotations { found: metadata.annotations.as_ref(), path, of_template: false };
    spec(pod, &Path::new("spec"), &annotations)
}

/// What is odd about the template at `path`.
pub(in crate::apiserver::kinds) fn template(template: &PodTemplateSpec, path: &Path) -> Vec<String> {
    let Some(pod) = &template.spec else { return Vec::new() };
    let found = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let annotations = Annotations { found, path: path.child("metadata.annotations"), of_template: true };
    spec(pod, &path.child("spec"), &annotations)
}

fn spec(spec: &PodSpec, path: &Path, annotations: &Annotations<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    placement::nodes(spec, path, &mut warnings);
    warnings.extend(annotations.without_effect());
    volumes::volumes(spec, path, &mut warnings);
    warnings.extend(spec.volumes.iter().flatten().flat_map(overlaps::overlaps));
    repeated(
        spec.host_aliases.iter().flatten().map(|alias| alias.ip.as_str()),
        |i, ip| format!("{}: duplicate ip {ip:?}", path.child("hostAliases").index(i).child("ip")),
        &mut warnings,
    );
    pull_secrets(spec, path, &mut warnings);
    let overhead = |resource| container::fractional(spec.overhead.as_ref(), resource, &path.child("overhead"));
    warnings.extend(container::IN_BYTES.into_iter().filter_map(overhead));
    warnings.extend(annotations.of_pod(spec));
    let containers = containers(spec, path);
    for (path, found) in &containers {
        warnings.extend(annotations.of_container(spec, found));
        container::container(found, path, &mut warnings);
    }
    ports::ports(&containers, &mut warnings);
    if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    placement::pods(spec, path, &mut warnings);
    addresses(spec, path, &mut warnings);
    warnings
}

fn containers<'a>(spec: &'a PodSpec, path: &Path) -> Vec<(Path, &'a Container)> {
    let lists = [("initContainers", spec.init_containers.as_ref()), ("containers", Some(&spec.containers))];
    let all = lists.into_iter().flat_map(|(field, containers)| {
        let path = path.child(field);
        containers.into_iter().flatten().enumerate().map(move |(i, container)| (path.index(i), container))
    });
    all.collect()
}

fn addresses(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    let servers = spec.dns_config.as_ref().and_then(|config| config.nameservers.as_ref());
    for (i, server) in servers.into_iter().flatten().enumerate() {
        warnings.extend(ip::warning(&path.child("dnsConfig.nameservers").index(i), server));
    }
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        warnings.extend(ip::warning(&path.child("hostAliases").index(i).child("ip"), &alias.ip));
    }
}

/// What is odd about a name that pods or their hosts take over; `where_to` tells which.
pub(in crate::apiserver::kinds) fn host_name(found: Option<&String>, where_to: &str) -> Option<String> {
    let wrong = name::label(found?, false)?;
    Some(format!(
        "metadata.name: this is used in {where_to}, which can result in surprising behavior; a DNS label is recommended: [{wrong}]"
    ))
}

fn pull_secrets(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    let secrets = || spec.image_pull_secrets.iter().flatten().map(|secret| secret.name.as_str());
    let at = |i: usize| path.child("imagePullSecrets").index(i).child("name");
    repeated(secrets(), |i, name| format!("{}: duplicate name {name:?}", at(i)), warnings);
    for (i, _) in secrets().enumerate().filter(|(_, name)| name.is_empty()) {
        warnings.push(format!("{}: invalid empty name \"\"", at(i)));
    }
}

fn repeated<'a>(
    values: impl Iterator<Item = &'a str>,
    say: impl Fn(usize, &str) -> String,
    warnings: &mut Vec<String>,
) {
    let mut seen = HashSet::new();
    warnings.extend(values.enumerate().filter(|(_, value)| !seen.insert(*value)).map(|(i, value)| say(i, value)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_odd_is_told_with_its_place() {
        let spec: PodSpec = serde_json::from_value(json!({
            "nodeSelector": {"beta.kubernetes.io/os": "linux", "disk": "ssd"},
            "imagePullSecrets": [{"name": "a"}, {"name": "a"}],
            "terminationGracePeriodSeconds": -1,
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "volumes": [{"name": "v", "gitRepo": {"repository": "r"}}],
            "overhead": {"memory": "1500m"},
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}
            ]}},
            "dnsConfig": {"nameservers": ["FD00::1"]},
            "containers": [{
                "name": "c",
                "ports": [{"containerPort": 80}, {"containerPort": 80}],
                "resources": {"requests": {"memory": "1500m", "cpu": "1500m"}},
                "env": [
                    {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}
                ],
            }],
        }))
        .unwrap();
        let expected = [
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "spec.volumes[0].gitRepo: deprecated in v1.11",
            "spec.imagePullSecrets[1].name: duplicate name \"a\"",
            "spec.overhead[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: \
             a null labelSelector results in matching no pod",
            "spec.dnsConfig.nameservers[0]: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")",
        ];
        assert_eq!(pod(&spec, &Default::default()), expected);
        assert_eq!(host_name(Some(&"web".to_owned()), "Pods"), None);
        assert!(host_name(Some(&"a.b".to_owned()), "Pods").unwrap().ends_with("'[a-z0-9]([-a-z0-9]*[a-z0-9])?')]"));
    }

    #[test]
    fn annotations_that_are_fields_now_are_told() {
        let spec: PodSpec = serde_json::from_value(json!({"containers": [{"name": "c"}]})).unwrap();
        let meta: ObjectMeta = serde_json::from_value(json!({"annotations": {
            "scheduler.alpha.kubernetes.io/critical-pod": "",
            "seccomp.security.alpha.kubernetes.io/pod": "runtime/default",
            "container.seccomp.security.alpha.kubernetes.io/c": "runtime/default",
            "container.apparmor.security.beta.kubernetes.io/c": "runtime/default",
        }}))
        .unwrap();
        let at = "spec.template.metadata.annotations";
        let expected = [
            format!(
                "{at}[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" field instead"
            ),
            format!(
                "{at}[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \"seccompProfile\" field instead"
            ),
            format!(
                "{at}[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in v1.27+; use the \"seccompProfile\" field instead"
            ),
            format!(
                "{at}[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ),
        ];
        let template = PodTemplateSpec { metadata: Some(meta.clone()), spec: Some(spec.clone()) };
        assert_eq!(super::template(&template, &Path::new("spec.template")), expected);
        assert_eq!(pod(&spec, &meta).len(), 3);
    }
}
