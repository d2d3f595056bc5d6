//! What the server warns of in the spec of a pod or of a template (`pkg/api/pod/warnings.go`).

use std::collections::HashSet;

use k8s_openapi::{
    api::core::v1::{Container, EnvVar, NodeSelectorTerm, PodSpec},
    apimachinery::pkg::api::resource::Quantity as Amount,
};
use orchestra_core::quantity::Quantity;

use crate::apiserver::{field::Path, validation::name};

/// Labels of nodes that have other names now, with what is said of them.
const OLD_LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

/// What is odd about the spec at `path`.
pub(in crate::apiserver::kinds) fn spec(spec: &PodSpec, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    old_labels(spec, path, &mut warnings);
    repeated(
        spec.host_aliases.iter().flatten().map(|alias| alias.ip.as_str()),
        |i, ip| format!("{}: duplicate ip {ip:?}", path.child("hostAliases").index(i).child("ip")),
        &mut warnings,
    );
    pull_secrets(spec, path, &mut warnings);
    if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for (field, containers) in
        [("initContainers", spec.init_containers.as_ref()), ("containers", Some(&spec.containers))]
    {
        for (i, found) in containers.into_iter().flatten().enumerate() {
            container(found, &path.child(field).index(i), &mut warnings);
        }
    }
    warnings
}

/// What is odd about a name that pods or their hosts take over; `where_to` tells which.
pub(in crate::apiserver::kinds) fn host_name(found: Option<&String>, where_to: &str) -> Option<String> {
    let wrong = name::label(found?, false)?;
    Some(format!(
        "metadata.name: this is used in {where_to}, which can result in surprising behavior; a DNS label is recommended: [{wrong}]"
    ))
}

fn old_labels(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    let old = |key: &str| OLD_LABELS.iter().find(|(label, _)| *label == key).map(|(_, why)| *why);
    for key in spec.node_selector.iter().flat_map(|selector| selector.keys()) {
        warnings.extend(old(key).map(|why| format!("{}: {why}", path.child("nodeSelector").key(key))));
    }
    let mut term = |term: &NodeSelectorTerm, path: &Path| {
        for (i, expression) in term.match_expressions.iter().flatten().enumerate() {
            let (key, path) = (&expression.key, path.child("matchExpressions").index(i).child("key"));
            warnings.extend(old(key).map(|why| format!("{path}: {key} is {why}")));
        }
    };
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let at = path.child("affinity.nodeAffinity");
    if let Some(required) = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()) {
        let at = at.child("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        required.node_selector_terms.iter().enumerate().for_each(|(i, found)| term(found, &at.index(i)));
    }
    let preferred = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    for (i, preferred) in preferred.into_iter().flatten().enumerate() {
        let at = at.child("preferredDuringSchedulingIgnoredDuringExecution").index(i).child("preference");
        term(&preferred.preference, &at);
    }
    for (i, constraint) in spec.topology_spread_constraints.iter().flatten().enumerate() {
        let (key, at) = (&constraint.topology_key, path.child("topologySpreadConstraints").index(i));
        warnings.extend(old(key).map(|why| format!("{}: {key} is {why}", at.child("topologyKey"))));
    }
}

fn pull_secrets(spec: &PodSpec, path: &Path, warnings: &mut Vec<String>) {
    let secrets = || spec.image_pull_secrets.iter().flatten().map(|secret| secret.name.as_str());
    let at = |i: usize| path.child("imagePullSecrets").index(i).child("name");
    for (i, _) in secrets().enumerate().filter(|(_, name)| name.is_empty()) {
        warnings.push(format!("{}: invalid empty name \"\"", at(i)));
    }
    repeated(secrets(), |i, name| format!("{}: duplicate name {name:?}", at(i)), warnings);
}

fn container(container: &Container, path: &Path, warnings: &mut Vec<String>) {
    let resources = container.resources.as_ref();
    for (field, amounts) in [
        ("limits", resources.and_then(|resources| resources.limits.as_ref())),
        ("requests", resources.and_then(|resources| resources.requests.as_ref())),
    ] {
        for (resource, Amount(text)) in amounts.into_iter().flatten() {
            let in_bytes = matches!(resource.as_str(), "memory" | "ephemeral-storage");
            if in_bytes && text.parse::<Quantity>().is_ok_and(|amount| !amount.is_whole()) {
                let path = path.child("resources").child(field).key(resource);
                warnings.push(format!("{path}: fractional byte value {text:?} is invalid, must be an integer"));
            }
        }
    }
    let mut seen = HashSet::new();
    for (i, variable) in container.env.iter().flatten().enumerate() {
        if !seen.insert(variable.name.as_str()) && !continues(variable) {
            let (path, name) = (path.child("env").index(i), &variable.name);
            warnings
                .push(format!("{path}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
}

/// Whether the variable only adds to what another of its name says.
fn continues(variable: &EnvVar) -> bool {
    let previous = format!("$({})", variable.name);
    let value = variable.value.as_deref().unwrap_or_default();
    variable.value_from.is_none() && value != previous && value.contains(&previous)
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
            "containers": [{
                "name": "c",
                "resources": {"requests": {"memory": "1500m", "cpu": "1500m"}},
                "env": [
                    {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}
                ],
            }],
        }))
        .unwrap();
        let expected = [
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.imagePullSecrets[1].name: duplicate name \"a\"",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
        ];
        assert_eq!(super::spec(&spec, &Path::new("spec")), expected);
        assert_eq!(host_name(Some(&"web".to_owned()), "Pods"), None);
        assert!(host_name(Some(&"a.b".to_owned()), "Pods").unwrap().ends_with("'[a-z0-9]([-a-z0-9]*[a-z0-9])?')]"));
    }
}
